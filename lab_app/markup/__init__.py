"""What the page looks like: constant markup, the theme, numbers in words. Everything that changes is data."""
