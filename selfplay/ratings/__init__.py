"""Elo ratings from games (NumPy, SciPy): likelihood, fit, goodness of fit, choice of pairings."""
