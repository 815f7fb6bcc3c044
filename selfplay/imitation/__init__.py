"""Imitation of expert games: the dataset, the training loop, held-out evaluation."""
