"""The commands: parse, build, call."""
