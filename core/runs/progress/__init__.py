"""How a run tells where it stands, and how it is paused and stopped: events, control, time left, terminal."""
