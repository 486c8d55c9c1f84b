"""HTTP: access control, checks of requests, and how answers are sent."""
