"""Measures of the model's outputs: scores, tasks, perplexity, generated text."""
