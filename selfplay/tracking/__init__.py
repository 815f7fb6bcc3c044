"""Trackers: where the curves of a run are shown, from TensorBoard to a function of one's own."""
