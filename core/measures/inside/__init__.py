"""Measures of weights and hidden states: spectra, subspaces, drift, maps."""
