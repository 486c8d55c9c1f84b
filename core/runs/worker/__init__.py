"""The process that owns the model: it takes runs from the store and answers the page."""
