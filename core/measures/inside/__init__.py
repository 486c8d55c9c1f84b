"""What weights and hidden states are: spectra, subspaces, drift, maps."""
