"""What comes in and goes out over HTTP: who may ask, what is let in, how answers are sent."""
