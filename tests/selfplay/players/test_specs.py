"""Player specs: their meaning, and the errors of invalid ones."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

import games
from selfplay.players import specs
from selfplay.players.version import split_version
from tests.selfplay.serve.analysts import untrained


@pytest.mark.parametrize(
    ("spec", "sentence"),
    [
        ("nobody", "player 'nobody' cannot be read; write one of RUN@VERSION"),
        ("randm", r"cannot be read \(did you mean 'random'\?\); write one of"),
        ("rollout?sims=4", r"cannot be read \(did you mean 'rollouts'\?\); write one of"),
        ("rollouts?sim=4", r"has no option 'sim' \(did you mean 'sims'\?\); choose from sims"),
        ("random?sims=4", "player 'random[?]sims=4' has no option 'sims'; it has no options"),
        ("rollouts?sims=0", "sims must be at least 1, got 0"),
        ("rollouts?sims=many", "sims='many' must be int"),
        ("rollouts?sims=1&sims=2", "an option is repeated: sims, sims"),
        ("solver?blunder=2", r"blunder must be in \[0, 1\], got 2.0"),
        ("solver?blunder", "'blunder' is not a list of options"),
        ("gtp:", "names no command"),
        ("gtp:gnugo", "speaks GTP and plays Go"),
        ("runs/none@3", "runs/none is not a run folder"),
    ],
)
def test_invalid_specs_are_rejected(spec: str, sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        specs.parse(spec, games.make("tic_tac_toe"))


def test_version_spec_splits_into_its_parts() -> None:
    assert specs.version_spec("runs/a@40?sims=16") == ("runs/a@40", 16, None)
    assert specs.version_spec("runs/a") == ("runs/a", None, None)
    assert specs.version_spec("a.safetensors?search=puct&sims=0") == ("a.safetensors", 0, "puct")
    for bad, sentence in (
        ("?sims=3", "names no run"),
        ("a?sims=", "sims='' must be int"),
        ("a?sims=-1", "got -1"),
        ("a?sim=3", r"has no option 'sim' \(did you mean 'sims'\?\); choose from sims, search"),
        ("a?search=gumble", r"unknown search 'gumble' \(did you mean 'gumbel'\?\); choose from"),
        ("a?search=mcts", "unknown search 'mcts'; choose from gumbel, puct, or write an import"),
        ("a?search=", "unknown search ''; choose from gumbel, puct"),
        ("a?search=os:system", "search 'os:system' is an import path that nobody typed"),
    ):
        with pytest.raises(ValueError, match=sentence):
            specs.version_spec(bad)


@pytest.mark.parametrize(
    ("text", "folder", "version"),
    [
        ("runs/a", "runs/a", ""),
        ("runs/a@3", "runs/a", "3"),
        ("runs/a@last", "runs/a", "last"),
        ("runs/a@b", "runs/a@b", ""),  # a folder of its own
        ("runs/a@b@12", "runs/a@b", "12"),
        ("runs/only@7", "runs/only@7", ""),  # there is no run `runs/only`
        ("runs/only@7@best", "runs/only@7", "best"),
        ("runs/a@c", "runs/a", "c"),  # neither a folder nor a version: an error of `Version.load`
        ("elsewhere@b@3", "elsewhere@b", "3"),  # as ladders record it, though it is not here
        ("what?@4", "what?", "4"),
        ("what?", "what?", ""),
    ],
)
@pytest.mark.parametrize("options", ["", "?sims=3", "?sims=0&search=puct"])
def test_run_names_may_contain_any_character(
    text: str, folder: str, version: str, options: str, tmp_path: Path, monkeypatch: Any
) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("runs/a", "runs/a@3", "runs/a@b", "runs/only@7", "what?"):
        (tmp_path / name).mkdir(parents=True)
        (tmp_path / name / "config.json").touch()
    assert split_version(text) == (folder, version)
    assert specs.split_options(text + options) == (text, options[1:])
    if options:  # as a ladder stores a version
        assert specs.split_stored(text + options) == (text, options[1:])


def test_player_spec_is_canonical() -> None:
    game = games.make("tic_tac_toe")
    assert specs.parse(" rollouts ", game).spec == "rollouts?sims=64"
    assert specs.parse("solver?blunder=0", game).spec == "solver"
    assert specs.parse("solver?blunder=.50", game).spec == "solver?blunder=0.5"


@pytest.mark.parametrize(
    ("spec", "sentence"),
    [
        ("gtp:no-such-engine --level 3", "there is no program 'no-such-engine' to run"),
        ('gtp:sh "-c', "has No closing quotation"),
        ("gtp: ", "names no command"),
        ("gtp:sh -c 'a\nb'", "an engine's command is one line without tabs"),
    ],
)
def test_engine_commands_are_checked_at_once(spec: str, sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        specs.parse(spec, games.make("go?size=5"))


def test_stored_name_is_never_a_command(tmp_path: Path) -> None:
    """Whoever shares a file chooses its name, and must not choose what is run."""
    file = tmp_path / "shared.safetensors"
    replace(untrained("go?size=5"), name="gtp:sh -c 'touch owned' #@1").export(file)
    assert specs.parse(f"{file}?sims=0", games.make("go?size=5")).command is None
    assert specs.parse("gtp:sh -c true", games.make("go?size=5")).command == "sh -c true"


@pytest.mark.parametrize(
    ("stronger", "weaker", "expected"),
    [
        ("solver", "random", "solver?blunder=0.5"),
        ("solver", "runs/a@1?sims=0", "solver?blunder=0.5"),
        ("solver?blunder=0.1", "solver?blunder=0.5", "solver?blunder=0.3"),
        ("rollouts?sims=100", "random", "rollouts?sims=10"),
        ("rollouts?sims=100", "rollouts?sims=4", "rollouts?sims=20"),
        ("runs/a?b@9?sims=64&search=puct", "random", "runs/a?b@9?sims=8&search=puct"),
        ("runs/a@9?sims=64", "runs/a@9?sims=1", "runs/a@9?sims=8"),
        ("runs/a@9?sims=0", "random", "a version of runs/a before 9"),
        ("runs/a@9?sims=1", "runs/a@2?sims=1", "a version of runs/a before 9"),
        ("gtp:gnugo?x --level 8", "random", "the engine gnugo?x --level 8 at a lower level"),
        ("rollouts?sims=1", "random", "a weaker form of rollouts?sims=1"),
    ],
)
def test_between_proposes_a_player_of_medium_strength(
    stronger: str, weaker: str, expected: str
) -> None:
    assert specs.between(stronger, weaker) == expected


@pytest.mark.parametrize("kind", ["_search_player", "_random_player", "_rollout_player"])
def test_cache_of_compiled_players_is_bounded(kind: str) -> None:
    assert getattr(specs, kind).cache_info().maxsize == specs.PROGRAMS == 32
