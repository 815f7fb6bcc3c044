"""Measuring strength: solved exams, matches and ratings."""
