"""From the records of single plies to the rows of finished episodes, on the host.

``finish_episodes`` joins a segment's records to those that are pending in the carry, and returns
the positions of every episode that has ended, with the fields that are known only then, such as the
result of its game. An episode is never cut off.
"""

from collections.abc import Iterable
from typing import NamedTuple

import numpy as np

from games.game import Game
from selfplay.acting.row_schema import BASE, Episodes, RowField, Rows, recorded_fields
from selfplay.acting.segment import Lanes, PlyRecord


class Carry(NamedTuple):
    """A stream's state between iterations: plain host arrays."""

    lanes: Lanes  # NumPy leaves [B, …]
    pending: Rows  # records of unfinished episodes, in order of play; with "lane" and "player"


def empty_carry(lanes: Lanes, record: PlyRecord, extra: Iterable[RowField] = ()) -> Carry:
    """Returns the carry before the first ply.

    Args:
        lanes: the first positions.
        record: gives the shapes, ``[T, B, …]``.
        extra: row fields besides those of `BASE`.
    """
    # The order is the order in which a learner's fingerprint draws noise.
    names = [field.name for field in recorded_fields(extra)]
    leaves = {name: record.fields[name] for name in names} | {"player": record.player}
    pending = {name: np.zeros((0, *leaf.shape[2:]), leaf.dtype) for name, leaf in leaves.items()}
    pending |= {"version": np.zeros(0, np.int32), "lane": np.zeros(0, np.int32)}
    return Carry(lanes, pending)


def finish_episodes(
    game: Game, pending: Rows, record: PlyRecord, version: int, extra: Iterable[RowField] = ()
) -> tuple[Rows, Rows]:
    """Splits pending records and a segment by `version` into ``(still pending, finished rows)``.

    Finished rows have the fields of `BASE`, then `extra`. They come in order of lane, then of play:
    the same order whoever played them.
    """
    plies, lanes = record.over.shape
    new: Rows = {
        name: np.asarray(leaf).reshape(plies * lanes, *leaf.shape[2:])
        for name, leaf in (*record.fields.items(), ("player", record.player))
    }
    new["version"] = np.full(plies * lanes, version, np.int32)
    new["lane"] = np.tile(np.arange(lanes, dtype=np.int32), plies)
    waiting = len(pending["lane"])
    over = np.concatenate([np.zeros(waiting, bool), np.asarray(record.over).reshape(-1)])
    outcome = np.concatenate([np.zeros(waiting, np.int8), np.asarray(record.outcome).reshape(-1)])
    rows = {name: np.concatenate([pending[name], new[name]]) for name in pending}

    order = np.argsort(rows["lane"], kind="stable")  # lane, then time
    rows = {name: array[order] for name, array in rows.items()}
    ends = np.flatnonzero(over[order])
    end_of = np.searchsorted(ends, np.arange(len(order)))  # the first end at or after each row
    candidate = np.append(ends, len(order))[end_of]
    lane_of_end = np.append(rows["lane"], -1)[candidate]
    finished = lane_of_end == rows["lane"]

    # Every row between a finished one and the end of its game is finished.
    end = np.cumsum(finished)[candidate[finished]] - 1
    done = {name: array[finished] for name, array in rows.items()}
    episodes = Episodes(done, end, outcome[order][candidate[finished]])
    fields = (*BASE, *extra)
    done = {
        field.name: field.at_end(game, episodes) if field.finish else done[field.name]
        for field in fields
    }
    # Back to order of play, so that the carry's bytes do not depend on how often it was sorted.
    still = order[~finished].argsort(kind="stable")
    return {name: array[~finished][still] for name, array in rows.items()}, done


def with_policy(rows: Rows) -> Rows:
    """Keeps the rows that have a policy; the last one kept of an episode counts as its last."""
    kept = np.asarray(rows["policy"]).any(axis=-1)
    episode = np.asarray(np.cumsum(rows["last"]) - rows["last"])[kept]
    left = {name: array[kept] for name, array in rows.items()}
    ends = np.append(episode[1:] != episode[:-1], True)[: len(episode)]
    return left | {"last": ends}
