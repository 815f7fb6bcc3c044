"""Expert games: read, replayed by our rules, and kept as rows that the learner draws from."""
