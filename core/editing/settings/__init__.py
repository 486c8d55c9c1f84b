"""Hyperparameters that describe themselves, what each model has instead of the defaults, and how parts are found."""
