"""What is edited: loading a model, its anatomy, and running (part of) it."""
