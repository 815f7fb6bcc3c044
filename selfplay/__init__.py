"""Self-play, learning and measuring: everything between the rules and the commands."""
