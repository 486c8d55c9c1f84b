"""The web page: it shows the content of the store and passes on requests. It computes nothing."""
