"""Players of the ladder: versions of a run, baselines, solvers and GTP engines."""
