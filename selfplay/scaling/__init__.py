"""Statistics of scaling: how much strength each order of magnitude of compute buys."""
