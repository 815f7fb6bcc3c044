"""Contracts that third parties test their own games, networks and searches with."""
