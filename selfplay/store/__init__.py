"""The run folder: config, manifest, metrics, replay shards, checkpoints, snapshots, commits.

Generic: it knows trees of arrays and dataclass configs, nothing of games or networks. This file
imports nothing, so that a launcher can read a config before JAX starts. In dependency order:
``failpoints``, ``tree``, ``digest``, ``files``, ``codec``, ``manifest``, ``window``, ``replay``,
``metrics``, ``checkpoint``, ``snapshots``, ``commits``, ``run``.
"""
