"""What happens when someone presses something, and how news reaches a page. Nothing here draws."""
