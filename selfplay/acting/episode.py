"""Records ↔ finished episodes, on the host.

``assemble`` joins a segment's records to those still waiting in the carry and gives out the
positions of every episode that has ended, each with its game's outcome: the value target is
known only then. An episode is never cut off.
"""

import math
from typing import Any, NamedTuple

import numpy as np

from games.game import Game
from selfplay.acting.segment import Lanes, PlyRecord

Rows = dict[str, np.ndarray]
"""Positions as arrays that share their leading dimension; the fields are in :data:`FIELDS`."""

FIELDS = {
    "planes": "uint8[N, P], observation, bit-packed",
    "legal": "uint8[N, ceil(A / 8)], True = legal, bit-packed",
    "policy": "float16[N, A], the search's improved policy",
    "value": "float16[N], the root's search value for the player to move",
    "outcome": "int8[N], the game's result for the player to move",
    "action": "int16[N], the move played",
    "ply": "int16[N], moves made before this position",
    "version": "int32[N], the version that played this ply (an episode may span several)",
    "last": "bool[N], True at an episode's last position: their number is the number of games",
}


def row_bytes(game: Game) -> int:
    """Bytes of one position's row, in memory and (uncompressed) on disk."""
    planes, legal = math.prod(game.observation_shape), game.num_actions
    bits = -(-planes // 8) + -(-legal // 8)
    return bits + 2 * game.num_actions + 2 + 1 + 2 + 2 + 4 + 1  # in the order of FIELDS


class Carry(NamedTuple):
    """A stream's state between iterations: plain host arrays."""

    lanes: Lanes  # NumPy leaves [B, …]
    waiting: Rows  # records of unfinished episodes, in order of play; with "lane" and "player"


def empty(lanes: Lanes, record: PlyRecord) -> Carry:
    """The carry before the first ply; `record` gives the shapes ``[T, B, …]``."""
    waiting = {
        name: np.zeros((0, *leaf.shape[2:]), leaf.dtype)
        for name, leaf in record._asdict().items()
        if name not in ("over", "outcome")
    }
    waiting |= {"version": np.zeros(0, np.int32), "lane": np.zeros(0, np.int32)}
    return Carry(lanes, waiting)


def assemble(waiting: Rows, record: PlyRecord, version: int) -> tuple[Rows, Rows]:
    """``(still waiting, finished rows)`` after a segment played by `version`.

    Finished rows come in order of lane, then of play: a fixed order, whoever played.
    """
    plies, lanes = record.over.shape
    new: dict[str, Any] = {
        name: np.asarray(leaf).reshape(plies * lanes, *leaf.shape[2:])
        for name, leaf in record._asdict().items()
    }
    new["version"] = np.full(plies * lanes, version, np.int32)
    new["lane"] = np.tile(np.arange(lanes, dtype=np.int32), plies)
    old = {**waiting, "over": np.zeros(len(waiting["lane"]), bool)}
    old["outcome"] = np.zeros(len(waiting["lane"]), np.int8)
    rows = {name: np.concatenate([old[name], new[name]]) for name in new}

    order = np.argsort(rows["lane"], kind="stable")  # lane, then time
    rows = {name: array[order] for name, array in rows.items()}
    ends = np.flatnonzero(rows["over"])
    end_of = np.searchsorted(ends, np.arange(len(order)))  # the first end at or after each row
    candidate = np.append(ends, len(order))[end_of]
    lane_of_end = np.append(rows["lane"], -1)[candidate]
    finished = lane_of_end == rows["lane"]

    outcome = np.append(rows["outcome"], np.int8(0))[candidate]
    rows["outcome"] = np.where(rows["player"] == 0, outcome, -outcome).astype(np.int8)
    rows["last"] = rows["over"]
    done = {name: rows[name][finished] for name in FIELDS}
    # Back to order of play, so that the carry's bytes do not depend on how often it was sorted.
    still = order[~finished].argsort(kind="stable")
    return {name: rows[name][~finished][still] for name in waiting}, done
