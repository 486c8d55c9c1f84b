"""What every study stands on: a lane as it sees it, the loop over rounds, and what it gives back."""
