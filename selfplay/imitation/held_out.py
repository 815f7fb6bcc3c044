"""How well a network predicts experts whose games it has not learnt from.

Reported for all positions, for those that no training game holds either (openings repeat from game
to game), and for the thirds of a game.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from games.game import Game
from selfplay.experts.archive import Split
from selfplay.learning.batches import unpack
from selfplay.model.network import Evaluate, Params

BATCH = 1024
PHASES = ("opening", "middle", "end")
TOPS = (1, 3, 5)
SURE = 1e-3  # no win is predicted with more than 1 - SURE, so that one surprise is not everything


class Measure:
    """Measures networks on the held-out side of an archive."""

    def __init__(
        self, game: Game, evaluate: Evaluate, train: Split, out: Split, order: np.ndarray
    ) -> None:
        """Prepare.

        Args:
            game: the rules.
            evaluate: of the network.
            train: what is learned from; says what was seen, and how often player 0 wins.
            out: the held-out games.
            order: int64[out.size], which positions come first.
        """
        self._out, self._order = out, order
        self._seen = out.positions_in(train)
        table, lines = out.archive.games, out.games
        of_row = np.repeat(lines, table["rows"][lines])
        ply = out.archive.fields["ply"][out.rows].astype(np.int64)
        thirds = 3 * ply // np.maximum(table["plies"][of_row], 1)
        self._phase = np.clip(thirds, 0, 2)
        result = table["outcome"][of_row] * out.archive.fields["outcome"][out.rows]
        known = train.archive.games["known"][train.games]
        first = train.archive.games["outcome"][train.games][known]
        share = float((first > 0).mean() + (first == 0).mean() / 2) if len(first) else 0.5
        # The frequency with which the mover's colour wins; draws say nothing about who moves.
        self._usual = np.where(result > 0, share, np.where(result < 0, 1 - share, 0.5))
        self._look = _looker(game, evaluate)

    def __call__(self, params: Params, count: int) -> dict[str, Any]:
        """Measures at the first `count` positions of the order.

        Returns:
            Of all, ``unseen`` and each phase: ``positions`` with an expert's move; the shares
            ``top1``, ``top3``, ``top5`` of them in which it is among the network's first guesses;
            and ``policy_loss`` (cross entropy, nats). Of all also ``value_loss`` (mean squared
            error), ``value_log_loss`` (nats; a draw is half a win) and ``colour_log_loss``, that
            of always answering how often the mover's colour wins. NaN where nothing is known.
        """
        chosen = self._order[:count]
        columns: dict[str, list[np.ndarray]] = {}
        for at in range(0, len(chosen), BATCH):
            some = chosen[at : at + BATCH]
            filled = np.resize(some, BATCH)  # one shape: the rest repeats and is cut off
            rows = self._out.gather(filled)
            kept = {n: rows[n] for n in ("planes", "legal", "policy")}
            for name, column in jax.device_get(self._look(params, kept)).items():
                columns.setdefault(name, []).append(column[: len(some)])
            for name in ("outcome", "value"):
                columns.setdefault(name, []).append(rows[name][: len(some)].astype(np.float32))
        seen = {name: np.concatenate(parts) for name, parts in columns.items()}
        everything = np.ones(len(chosen), bool)
        report: dict[str, Any] = _policy(seen, everything) | self._value(seen, self._usual[chosen])
        report["unseen"] = _policy(seen, ~self._seen[chosen])
        for number, name in enumerate(PHASES):
            report[name] = _policy(seen, self._phase[chosen] == number)
        return report

    @staticmethod
    def _value(seen: dict[str, np.ndarray], usual: np.ndarray) -> dict[str, float]:
        taught = np.isfinite(seen["value"])
        names = ("value_loss", "value_log_loss", "colour_log_loss")
        if not taught.any():
            return dict.fromkeys(names, float("nan"))
        guess, outcome = seen["guess"][taught], seen["outcome"][taught]
        square = float(np.mean((guess - outcome) ** 2))
        won = (outcome + 1) / 2
        logs = [_log_loss(p, won) for p in ((guess + 1) / 2, usual[taught])]
        return dict(zip(names, [square, *logs], strict=True))


@lru_cache(maxsize=8)
def _looker(game: Game, evaluate: Evaluate) -> Callable[[Params, dict[str, Any]], dict[str, Array]]:
    """``(params, rows [B]) → {"moved", "rank", "cross_entropy", "guess"}``, each [B]; jitted."""

    @jax.jit
    def look(params: Params, rows: dict[str, Any]) -> dict[str, Array]:
        observation = unpack(rows["planes"], game.observation_shape)
        legal = unpack(rows["legal"], (game.num_actions,))
        target = rows["policy"].astype(jnp.float32)
        target = target / jnp.maximum(target.sum(axis=-1, keepdims=True), 1e-6)
        logits, value = evaluate(params, observation)
        log_policy = jax.nn.log_softmax(jnp.where(legal, logits, -1e9))
        best = jnp.max(jnp.where(target > 0, log_policy, -jnp.inf), axis=-1, keepdims=True)
        return {
            "moved": jnp.any(target > 0, axis=-1),
            "rank": jnp.sum(log_policy > best, axis=-1),
            "cross_entropy": -jnp.sum(jnp.where(target > 0, target * log_policy, 0.0), axis=-1),
            "guess": value,
        }

    return look


def _policy(seen: dict[str, np.ndarray], which: np.ndarray) -> dict[str, float]:
    which = which & seen["moved"]
    count = int(which.sum())
    found: dict[str, float] = {"positions": count}
    for top in TOPS:
        found[f"top{top}"] = float(np.mean(seen["rank"][which] < top)) if count else float("nan")
    loss = float(np.mean(seen["cross_entropy"][which])) if count else float("nan")
    return found | {"policy_loss": loss}


def _log_loss(predicted: np.ndarray, won: np.ndarray) -> float:
    p = np.clip(predicted.astype(np.float64), SURE, 1 - SURE)
    return float(-np.mean(won * np.log(p) + (1 - won) * np.log(1 - p)))
