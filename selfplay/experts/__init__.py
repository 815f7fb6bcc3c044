"""Expert games: reading records, replaying them by our rules, and archiving them as rows."""
