"""The statistics of scaling: how much strength each order of magnitude (OOM) of compute buys."""
