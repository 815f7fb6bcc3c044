"""SGF records of Go: files, character sets, main lines, results and ranks."""
