"""From the records of single plies to the rows of finished episodes, on the host.

``finish_episodes`` joins a segment's records to those that are pending in the carry, and returns
the positions of every episode that has ended, each with the result of its game, which is known only
then. An episode is never cut off.
"""

import math
from typing import NamedTuple

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
    "mover_outcome": "int8[N], the game's result for the player to move",
    "action": "int16[N], the move played",
    "ply": "int16[N], moves made before this position",
    "version": "int32[N], the version that played this ply (an episode may span several)",
    "last": "bool[N], True at an episode's last position: their number is the number of games",
}


def row_bytes(game: Game) -> int:
    """Returns the bytes of one position's row, in memory and (uncompressed) on disk."""
    planes, legal = math.prod(game.observation_shape), game.num_actions
    bits = -(-planes // 8) + -(-legal // 8)
    return bits + 2 * game.num_actions + 2 + 1 + 2 + 2 + 4 + 1  # in the order of FIELDS


class Carry(NamedTuple):
    """A stream's state between iterations: plain host arrays."""

    lanes: Lanes  # NumPy leaves [B, …]
    pending: Rows  # records of unfinished episodes, in order of play; with "lane" and "player"


def empty_carry(lanes: Lanes, record: PlyRecord) -> Carry:
    """Returns the carry before the first ply; `record` gives the shapes ``[T, B, …]``."""
    pending = {
        name: np.zeros((0, *leaf.shape[2:]), leaf.dtype)
        for name, leaf in record._asdict().items()
        if name not in ("over", "outcome")
    }
    pending |= {"version": np.zeros(0, np.int32), "lane": np.zeros(0, np.int32)}
    return Carry(lanes, pending)


def finish_episodes(pending: Rows, record: PlyRecord, version: int) -> tuple[Rows, Rows]:
    """Splits pending records and a segment by `version` into ``(still pending, finished rows)``.

    Finished rows come in order of lane, then of play: the same order whoever played them.
    """
    plies, lanes = record.over.shape
    new: Rows = {
        name: np.asarray(leaf).reshape(plies * lanes, *leaf.shape[2:])
        for name, leaf in record._asdict().items()
    }
    new["version"] = np.full(plies * lanes, version, np.int32)
    new["lane"] = np.tile(np.arange(lanes, dtype=np.int32), plies)
    old = {**pending, "over": np.zeros(len(pending["lane"]), bool)}
    old["outcome"] = np.zeros(len(pending["lane"]), np.int8)
    rows = {name: np.concatenate([old[name], new[name]]) for name in new}

    order = np.argsort(rows["lane"], kind="stable")  # lane, then time
    rows = {name: array[order] for name, array in rows.items()}
    ends = np.flatnonzero(rows["over"])
    end_of = np.searchsorted(ends, np.arange(len(order)))  # the first end at or after each row
    candidate = np.append(ends, len(order))[end_of]
    lane_of_end = np.append(rows["lane"], -1)[candidate]
    finished = lane_of_end == rows["lane"]

    outcome = np.append(rows["outcome"], np.int8(0))[candidate]  # of each row's game
    rows["mover_outcome"] = np.where(rows["player"] == 0, outcome, -outcome).astype(np.int8)
    rows["last"] = rows["over"]
    done = {name: rows[name][finished] for name in FIELDS}
    # Back to order of play, so that the carry's bytes do not depend on how often it was sorted.
    still = order[~finished].argsort(kind="stable")
    return {name: rows[name][~finished][still] for name in pending}, done
