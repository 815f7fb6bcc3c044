"""Versions as opponents: the GTP server, and the analysis of positions for people."""
