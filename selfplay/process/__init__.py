"""Child processes that end with their parent: GTP engines and the jobs of studies."""
