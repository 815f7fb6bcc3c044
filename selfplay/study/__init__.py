"""Studies: many runs that differ in known ways, planned, trained and rated together."""
