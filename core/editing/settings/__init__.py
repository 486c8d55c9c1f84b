"""Hyperparameters with their descriptions, each model's own defaults, and the discovery of methods, guards and
studies."""
