"""Expert games: records read, replayed by our rules, filtered and archived as training rows."""
