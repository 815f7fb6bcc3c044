"""Games and positions made by perfect players, and the import of expert games."""
