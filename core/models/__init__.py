"""The model side: loading a model, its anatomy, and running all or parts of it."""
