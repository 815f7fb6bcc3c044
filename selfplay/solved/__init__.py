"""Solved positions, and the exam that grades players on them."""
