"""Layer statistics: second moments of keys, gathered from text and cached."""
