"""Which trackers a run has, if its command does not say. It is no part of a run's config."""

DEFAULT = ("tensorboard",)
