"""Elo ratings from games: Bradley-Terry likelihood, fit, goodness of fit, pairing."""
