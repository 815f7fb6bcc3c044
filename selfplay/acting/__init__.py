"""Self-play as a pure function: segments of plies, finished episodes, the stream player."""
