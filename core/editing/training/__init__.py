"""What is trained once per model before it edits: facts of the model's world, and a loop that can be stopped."""
