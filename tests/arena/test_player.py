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


def test_a_version_spec_is_taken_apart() -> None:
    assert player.version_spec("runs/a@40?sims=16") == ("runs/a@40", 16, None)
    assert player.version_spec("runs/a") == ("runs/a", None, None)
    assert player.version_spec("a.safetensors?search=puct&sims=0") == ("a.safetensors", 0, "puct")
    for bad, sentence in (
        ("?sims=3", "names no run"),
        ("a?sims=", "sims='' must be int"),
        ("a?sims=-1", "got -1"),
        ("a?sim=3", "has no option 'sim'; choose from sims, search"),
        ("a?search=mcts", "search='mcts' is unknown; choose from gumbel, puct"),
    ):
        with pytest.raises(ValueError, match=sentence):
            player.version_spec(bad)


def test_specs_are_canonical() -> None:
    game = games.make("tic_tac_toe")
    assert player.parse(" rollouts ", game).spec == "rollouts?sims=64"
    assert player.parse("solver?blunder=0", game).spec == "solver"
    assert (
        player.parse("solver", game).perfect and not player.parse("solver?blunder=.5", game).perfect
    )
