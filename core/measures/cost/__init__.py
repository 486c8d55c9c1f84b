"""Time estimates of measures on this machine."""
