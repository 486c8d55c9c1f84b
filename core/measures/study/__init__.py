"""The basis of all studies: a lane, the loop over rounds, and the result."""
