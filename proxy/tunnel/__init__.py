"""The tunnel of agents: each dials in once, and many calls go through its one WebSocket."""
