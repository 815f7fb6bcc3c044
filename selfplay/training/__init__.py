"""Training runs: configuration, loop, evaluation along the way, verification."""
