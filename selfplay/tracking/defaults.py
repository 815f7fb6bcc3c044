"""The trackers of a run whose command names none."""

DEFAULT_TRACKERS = ("tensorboard",)
