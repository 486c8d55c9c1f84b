"""The browser front end: it draws what the store holds and passes on what people ask. Computes nothing."""
