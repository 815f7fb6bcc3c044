"""Rows of metrics and the identity of a run keep their keys in files and survive a round trip."""

from dataclasses import asdict
from pathlib import Path

import pytest

from selfplay.model.flops import Ledger
from selfplay.runs import metrics
from selfplay.runs.identity import RunIdentity
from selfplay.runs.metrics_row import (
    ImitationRow,
    MetricsRow,
    Seconds,
    SelfPlayRow,
    StartRow,
    parse,
)
from tests.golden.recording import FORMAT_1

LEDGER = {**asdict(Ledger(1, 2, 3)), "ooms": 0.8}
START = StartRow(
    iteration=0,
    digests={"state": "aa"},
    ledger=asdict(Ledger(1)),
    seconds=Seconds(total=2.0),
    identity=RunIdentity("ff", "ee", "dd", {"run": "first"}),
    imitation={"version": 3, "data": "dd", "held_out": {"top1": 0.5}},
)
IMITATION_START = StartRow(
    iteration=0, digests={"state": "aa"}, identity=RunIdentity(None, "ee", "dd")
)
ROWS = [
    START,
    IMITATION_START,
    ImitationRow(
        iteration=2,
        epoch=0.5,
        digests={"state": "bb"},
        ledger=LEDGER,
        learner={"policy_loss": 1.0},
        held_out={"top1": 0.5},
        seconds=Seconds(total=3.0, learn=1.0, measure=0.5),
    ),
    SelfPlayRow(
        iteration=4,
        played_by=3,
        digests={"state": "cc", "rows": "dd", "carries": "ee"},
        ledger=LEDGER,
        window=100,
        steps=7,
        learner={},
        selfplay={"games": 0, "positions": 0},
        elo={"version": 4, "anchor": "solver"},
        seconds=Seconds(total=9.0, learn=1.0, play=2.0, exam=0.5, commit=0.25),
    ),
]


@pytest.mark.parametrize("row", ROWS)
def test_row_survives_a_round_trip_through_json(row: MetricsRow) -> None:
    assert parse({"iteration": row.iteration, **row.to_json()}) == row


def test_rows_of_format_1_keep_their_keys() -> None:
    rows, documents = metrics.read_rows(FORMAT_1 / "run"), metrics.read(FORMAT_1 / "run")
    for row, document in zip(rows, documents, strict=True):
        added = {"origin": {}} if isinstance(row, StartRow) else {}  # later than these runs
        assert {"iteration": row.iteration, **row.to_json()} == document | added
    assert [type(row) for row in rows] == [StartRow, SelfPlayRow, SelfPlayRow]


def test_row_without_sections_is_empty() -> None:
    row = parse({"iteration": 1})
    assert isinstance(row, SelfPlayRow) and not (row.learner or row.exam or row.pool or row.steps)
    assert Ledger.of(row) == Ledger() and row.seconds == Seconds()


@pytest.mark.parametrize(
    "row",
    [
        '{"iteration": 1, "seconds": [1]}',
        '{"iteration": 1, "seconds": {"total": [1]}}',
        '{"iteration": 1, "played_by": null}',
        '{"iteration": 1, "exam": 3}',
        '{"iteration": 1, "epoch": "two"}',
        '{"iteration": 0, "imitation": [1]}',
        '{"iteration": 0, "origin": [1]}',
    ],
)
def test_value_of_the_wrong_type_is_named_with_file_and_line(tmp_path: Path, row: str) -> None:
    (tmp_path / metrics.FILE).write_text(f'{{"iteration": 0}}\n\n{row}\n')
    with pytest.raises(ValueError, match=r"metrics\.jsonl, line 3 "):
        metrics.read_rows(tmp_path)


def test_identity_is_that_of_self_play_or_of_imitation() -> None:
    selfplay, imitation = (RunIdentity.of(row.to_json()) for row in (START, IMITATION_START))
    assert selfplay.plays and selfplay == START.identity
    assert not imitation.plays and imitation == IMITATION_START.identity


def test_other_arithmetic_is_refused(tmp_path: Path) -> None:
    recorded = RunIdentity("f" * 64, None)
    recorded.check_arithmetic(RunIdentity("f" * 64, "e" * 64), tmp_path)  # older than the learner's
    with pytest.raises(ValueError, match="self-play"):
        recorded.check_arithmetic(RunIdentity("0" * 64, "e" * 64), tmp_path)
    with pytest.raises(ValueError, match="learner"):
        RunIdentity("f" * 64, "a" * 64).check_arithmetic(RunIdentity("f" * 64, "e" * 64), tmp_path)
