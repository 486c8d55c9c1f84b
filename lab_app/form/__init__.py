"""The experiment on the left: what people choose, and where their facts come from."""
