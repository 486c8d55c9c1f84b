"""The public interface of the laboratory, which `import core as lab` gives by name."""
