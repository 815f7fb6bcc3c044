"""Player specs: what they mean, and what is said of those that mean nothing."""

from __future__ import annotations

import pytest

import games
from selfplay.arena import player


@pytest.mark.parametrize(
    ("spec", "sentence"),
    [
        ("nobody", "player 'nobody' cannot be read; write one of RUN@VERSION"),
        ("random?sims=4", "player 'random[?]sims=4' has no option 'sims'; choose from none"),
        ("rollouts?sims=0", "sims must be at least 1, got 0"),
        ("rollouts?sims=many", "sims='many' must be int"),
        ("rollouts?sims=1&sims=2", "option 'sims' is given twice"),
        ("solver?blunder=2", r"blunder must lie in \[0, 1\], got 2.0"),
        ("solver?blunder", "'blunder' is no option=value"),
        ("gtp:", "names no command"),
        ("gtp:gnugo", "speaks GTP and plays Go"),
        ("runs/none@3", "runs/none is no run folder"),
    ],
)
def test_specs_that_cannot_be_read(spec: str, sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        player.parse(spec, games.make("tic_tac_toe"))


def test_specs_are_canonical() -> None:
    game = games.make("tic_tac_toe")
    assert player.parse(" rollouts ", game).spec == "rollouts?sims=64"
    assert player.parse("solver?blunder=0", game).spec == "solver"
    assert (
        player.parse("solver", game).perfect and not player.parse("solver?blunder=.5", game).perfect
    )
