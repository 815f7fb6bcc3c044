"""Versions as opponents: the GTP server, and the analysis that people see."""
