"""Untrained networks as exported files, for pages that need somebody to play against."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import jax

import configs
import games
from selfplay.model import network
from selfplay.model.flops import Ledger
from selfplay.players.version import Version
from selfplay.runs.codec import to_json


def export(game: str, path: Path) -> Path:
    """Writes an untrained network for a game; returns the file."""
    config = replace(configs.get("connect_four_smoke"), game=game)
    params = network.make(games.make(game), config.network).init(jax.random.key(0))
    Version(path.stem, params, to_json(config), Ledger(), 0).export(path)
    return path
