"""Evaluation on held-out games: how well a network predicts experts it did not learn from.

Measures are reported for all positions, for those that occur in no training game (openings repeat
from game to game), and for each third of a game.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import lru_cache

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from games.game import Game
from selfplay.acting.row_schema import LEGAL, PLANES, POLICY
from selfplay.experts.archive import Split
from selfplay.learning.loss_term import masked_cross_entropy, masked_log_policy
from selfplay.learning.targets import policy_target
from selfplay.model.architecture import Evaluate, Params
from selfplay.runs.codec import Json
from selfplay.runs.tree import PyTree

BATCH = 1024
PHASES = ("opening", "middle", "end")
TOP_K = (1, 3, 5)
MIN_PROBABILITY = 1e-3  # of a result; bounds the log loss of a single position

Columns = dict[str, np.ndarray]
"""What a network predicts at some positions, and what happened: name → [positions]."""


class HeldOutEvaluator:
    """Evaluator of networks on the held-out games of an archive."""

    def __init__(
        self, game: Game, evaluate: Evaluate, train: Split, held_out: Split, order: np.ndarray
    ) -> None:
        """Prepares the evaluation; the first call compiles.

        Args:
            game: the rules.
            evaluate: the network.
            train: the training games, which give the seen positions and player 0's win rate.
            held_out: the held-out games.
            order: int64[held_out.size], the order in which positions are evaluated.
        """
        self._held_out, self._order = held_out, order
        self._seen = held_out.positions_in(train)
        table, lines = held_out.archive.games, held_out.games
        of_row = np.repeat(lines, table["rows"][lines])
        ply = held_out.archive.fields["ply"][held_out.rows].astype(np.int64)
        thirds = 3 * ply // np.maximum(table["plies"][of_row], 1)
        self._phase = np.clip(thirds, 0, 2)
        result = table["outcome"][of_row] * held_out.archive.fields["mover_outcome"][held_out.rows]
        known = train.archive.games["known"][train.games]
        outcome = train.archive.games["outcome"][train.games][known]
        wins = float((outcome > 0).mean() + (outcome == 0).mean() / 2) if len(outcome) else 0.5
        # The frequency with which the mover's color wins; draws say nothing about who moves.
        self._base_rate = np.where(result > 0, wins, np.where(result < 0, 1 - wins, 0.5))
        self._predict = _predict_function(game, evaluate)

    def __call__(self, params: Params, count: int) -> dict[str, Json]:
        """Evaluates a network at the first `count` positions of the order.

        Returns:
            Of all positions, those "unseen" in training and those of each phase: "positions",
            their number with an expert's move; "top1", "top3", "top5", the fractions in which that
            move is among the network's most probable ones; "policy_loss" (cross entropy, nats). Of
            all positions also "value_loss" (mean squared error), "value_log_loss" (nats; a draw is
            half a win) and "colour_log_loss", the log loss of predicting the rate at which the
            mover's color wins. NaN if nothing is known.
        """
        positions = self._order[:count]
        parts: dict[str, list[np.ndarray]] = {}
        for start in range(0, len(positions), BATCH):
            batch = positions[start : start + BATCH]
            padded = np.resize(batch, BATCH)  # repeats positions, so that all batches have one size
            rows = self._held_out.gather(padded)
            inputs = {name: rows[name] for name in ("planes", "legal", "policy")}
            for name, column in jax.device_get(self._predict(params, inputs)).items():
                parts.setdefault(name, []).append(column[: len(batch)])
            for name in ("mover_outcome", "value"):
                parts.setdefault(name, []).append(rows[name][: len(batch)].astype(np.float32))
        columns = {name: np.concatenate(arrays) for name, arrays in parts.items()}
        measures: dict[str, Json] = {
            **_policy(columns, np.ones(len(positions), bool)),
            **_value(columns, self._base_rate[positions]),
            "unseen": _policy(columns, ~self._seen[positions]),
        }
        for number, name in enumerate(PHASES):
            measures[name] = _policy(columns, self._phase[positions] == number)
        return measures


@lru_cache(maxsize=8)
def _predict_function(
    game: Game, evaluate: Evaluate
) -> Callable[[Params, PyTree], dict[str, Array]]:
    """Compiles a function of parameters and rows [B] that compares predictions with experts' moves.

    It returns arrays [B]: "moved" (True = there is an expert's move), "rank" of that move among
    the network's (0 = most probable), "cross_entropy" and "predicted_value".
    """

    @jax.jit
    def predict(params: Params, rows: Mapping[str, Array]) -> dict[str, Array]:
        observation, legal, policy = (
            field.unpack(game, rows[field.name]) for field in (PLANES, LEGAL, POLICY)
        )
        target = policy_target(policy)
        logits, value, _ = evaluate(params, observation)
        log_policy = masked_log_policy(logits, legal)
        best = jnp.max(jnp.where(target > 0, log_policy, -jnp.inf), axis=-1, keepdims=True)
        return {
            "moved": jnp.any(target > 0, axis=-1),
            "rank": jnp.sum(log_policy > best, axis=-1),
            "cross_entropy": masked_cross_entropy(target, log_policy),
            "predicted_value": value,
        }

    return predict


def _policy(columns: Columns, selected: np.ndarray) -> dict[str, float]:
    """Computes the measures of the policy over selected positions, bool[positions]."""
    selected = selected & columns["moved"]
    count = int(selected.sum())
    measures: dict[str, float] = {"positions": count}
    for k in TOP_K:
        rank = columns["rank"][selected]
        measures[f"top{k}"] = float(np.mean(rank < k)) if count else float("nan")
    loss = float(np.mean(columns["cross_entropy"][selected])) if count else float("nan")
    return measures | {"policy_loss": loss}


def _value(columns: Columns, base_rate: np.ndarray) -> dict[str, float]:
    """Computes the measures of the value over positions with a known result."""
    known = np.isfinite(columns["value"])
    names = ("value_loss", "value_log_loss", "colour_log_loss")
    if not known.any():
        return dict.fromkeys(names, float("nan"))
    predicted, outcome = columns["predicted_value"][known], columns["mover_outcome"][known]
    squared_error = float(np.mean((predicted - outcome) ** 2))
    won = (outcome + 1) / 2
    log_losses = [_log_loss(p, won) for p in ((predicted + 1) / 2, base_rate[known])]
    return dict(zip(names, [squared_error, *log_losses], strict=True))


def _log_loss(predicted: np.ndarray, won: np.ndarray) -> float:
    """Computes the mean log loss, nats, of predicted probabilities of winning."""
    p = np.clip(predicted.astype(np.float64), MIN_PROBABILITY, 1 - MIN_PROBABILITY)
    return float(-np.mean(won * np.log(p) + (1 - won) * np.log(1 - p)))
