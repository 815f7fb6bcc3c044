"""The run folder: configuration, manifest, metrics, replay, checkpoints, snapshots, commits.

Generic: it knows trees of arrays and dataclass configs, but no games and no networks.
"""
