"""Generated expert games: perfect players that blunder, solved positions, and their archives."""
