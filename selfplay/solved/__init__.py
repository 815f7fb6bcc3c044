"""Positions whose values are known, and the exam made of them."""
