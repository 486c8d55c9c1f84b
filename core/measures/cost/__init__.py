"""How long measures will take on this machine."""
