"""What the page asks networks, and who waits for whom."""

from __future__ import annotations

import asyncio
import threading
import time
from pathlib import Path

import numpy as np
import pytest

import games
from selfplay.players.version import Version
from selfplay.serve.rules import compiled
from selfplay.serve.web import thinking
from selfplay.serve.web.thinking import Busy, Superseded, Thinkers
from tests.selfplay.serve.web.untrained import export


@pytest.fixture(scope="module")
def version(tmp_path_factory: pytest.TempPathFactory) -> Version:
    path = tmp_path_factory.mktemp("network") / "four.safetensors"
    return Version.load(export("connect_four", path))


def position(version: Version, *columns: int) -> object:
    rules = compiled(version.game)
    state = rules.init()
    for column in columns:
        state = rules.step(state, column)
    return state


@pytest.mark.parametrize("budget", [0, 4])
def test_thought_is_about_legal_moves(version: Version, budget: int) -> None:
    state = position(version, 0, 0, 0, 0, 0, 0)
    thought = thinking.think(version, state, budget)
    assert thought.action != 0 and -1 <= thought.value <= 1
    for policy in (thought.prior, thought.policy):
        assert policy[0] == 0 and policy.sum() == pytest.approx(1, abs=1e-3)


def test_values_of_moves_are_for_who_makes_them(version: Version) -> None:
    state = position(version, 0, 1, 0, 1, 0, 1)  # player 0 wins in column 0
    values = thinking.values_of_moves(version, state)
    assert values[0] == 1.0
    after = compiled(version.game).step(state, 3)
    assert values[3] == pytest.approx(-float(version.evaluate(after).value))
    losing = thinking.values_of_moves(version, position(version, 0, 1, 0, 1, 0))
    assert losing[1] == pytest.approx(
        -float(version.evaluate(position(version, 0, 1, 0, 1, 0, 1)).value)
    )


def test_expected_line_ends_with_the_game(version: Version) -> None:
    state = position(version, 0, 1, 0, 1, 0, 1)
    line = thinking.expected_line(version, state, 6, 4)
    assert line[0] == 6
    assert 1 <= len(line) <= thinking.LINE
    for action in line:
        assert np.asarray(compiled(version.game).legal_actions(state))[action]
        state = compiled(version.game).step(state, action)


def test_truths_are_those_of_perfect_play() -> None:
    game = games.make("tic_tac_toe")
    state = compiled(game).init()
    for action in (0, 1):  # the second player should have taken the center
        assert set(thinking.truths(game, state).values()) <= {"win", "draw", "loss"}
        state = compiled(game).step(state, action)
    found = thinking.truths(game, state)
    assert found[4] == "win" and 0 not in found and 1 not in found


def test_game_without_a_perfect_player_says_so() -> None:
    game = games.make("go?size=5")
    with pytest.raises(ValueError, match="no perfect player"):
        thinking.truths(game, compiled(game).init())


def test_newer_request_of_a_visitor_takes_the_older_ones_place() -> None:
    async def ask() -> list[object]:
        thinkers, begun = Thinkers(1), threading.Event()
        blocker = asyncio.create_task(thinkers.run("other", begun.wait))
        await asyncio.sleep(0.05)
        old = asyncio.create_task(thinkers.run("visitor", lambda: "old"))
        new = asyncio.create_task(thinkers.run("visitor", lambda: "new"))
        await asyncio.sleep(0.05)
        begun.set()
        answers = await asyncio.gather(blocker, old, new, return_exceptions=True)
        thinkers.close()
        return list(answers)

    blocked, old, new = asyncio.run(ask())
    assert (blocked, new) == (True, "new")
    assert isinstance(old, Superseded)


def test_waiting_request_of_a_visitor_who_left_is_dropped() -> None:
    async def ask() -> tuple[object, list[str]]:
        thinkers, begun, done = Thinkers(1), threading.Event(), list[str]()
        blocker = asyncio.create_task(thinkers.run("other", begun.wait))
        await asyncio.sleep(0.05)
        waiting = asyncio.create_task(thinkers.run("visitor", done.append, "computed"))
        await asyncio.sleep(0.05)
        thinkers.forget("visitor")
        begun.set()
        answers = await asyncio.gather(blocker, waiting, return_exceptions=True)
        thinkers.close()
        return answers[1], done

    answer, done = asyncio.run(ask())
    assert isinstance(answer, Superseded) and done == []


def test_superseded_requests_do_not_count_as_visitors(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(thinking, "MOST_WAITING", 2)

    async def ask() -> str:
        thinkers, begun = Thinkers(1), threading.Event()
        blocker = asyncio.create_task(thinkers.run("greedy", begun.wait))
        await asyncio.sleep(0.05)
        greedy = [asyncio.create_task(thinkers.run("greedy", lambda: None)) for _ in range(20)]
        await asyncio.sleep(0.05)
        patient = asyncio.create_task(thinkers.run("patient", lambda: "answer"))
        await asyncio.sleep(0.05)
        begun.set()
        await asyncio.gather(blocker, *greedy, return_exceptions=True)
        answer = await patient
        thinkers.close()
        return answer

    assert asyncio.run(ask()) == "answer"


def test_one_visitor_does_not_wait_for_anothers_queue() -> None:
    async def ask() -> float:
        thinkers = Thinkers(1)
        greedy = [asyncio.create_task(thinkers.run("greedy", time.sleep, 0.1)) for _ in range(20)]
        await asyncio.sleep(0.01)
        started = time.perf_counter()
        await thinkers.run("patient", lambda: None)
        waited = time.perf_counter() - started
        await asyncio.gather(*greedy, return_exceptions=True)
        thinkers.close()
        return waited

    assert asyncio.run(ask()) < 1.0


def test_too_many_requests_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(thinking, "MOST_WAITING", 1)

    async def ask() -> None:
        thinkers, begun = Thinkers(1), threading.Event()
        blocker = asyncio.create_task(thinkers.run("a", begun.wait))
        await asyncio.sleep(0.02)
        with pytest.raises(Busy, match="too many visitors"):
            await thinkers.run("b", lambda: None)
        begun.set()
        await blocker
        thinkers.close()

    asyncio.run(ask())


def test_network_that_cannot_be_read_is_an_error(tmp_path: Path) -> None:
    broken = tmp_path / "broken.safetensors"
    broken.write_bytes(b"nothing")
    with pytest.raises(ValueError, match="not a readable safetensors file"):
        Version.load(broken)
