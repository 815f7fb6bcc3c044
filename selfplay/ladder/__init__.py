"""The ladder: openings, matches, the database of games, ratings, tables and plots."""
