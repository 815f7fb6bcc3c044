"""Versions as opponents: the GTP server, and what people see of a search."""
