"""What the model says: scores, tasks, perplexity, its own words. Text in, text out."""
