"""launch/simulate.py, asked as a user asks it."""

import json
from dataclasses import asdict
from pathlib import Path

from selfplay.learning.config import LearnerConfig
from tests.small_runs import assert_rejected


def run(folder: Path, rows: list[dict[str, object]]) -> str:
    folder.mkdir()
    selfplay = {"streams": 4, "lanes": 8, "plies": 16}
    learner = asdict(LearnerConfig(batch_size=32, max_steps=96))  # 64 steps after 4 streams
    config = {"selfplay": selfplay, "learner": learner, "iterations": 100}
    (folder / "config.json").write_text(json.dumps({"format_version": 1, "config": config}))
    (folder / "metrics.jsonl").write_text("".join(f"{json.dumps(row)}\n" for row in rows))
    return str(folder)


def test_simulate_prints_a_table_and_rejects_bad_input(tmp_path: Path) -> None:
    pool = {"actors": 1.0, "stream_seconds": 6.0, "play_seconds": 6.0, "spread": 0.0}
    row = {"iteration": 1, "pool": pool, "seconds": {"learn": 4.0, "commit": 1.0}}
    measured, nothing = run(tmp_path / "a", [row]), run(tmp_path / "b", [{"iteration": 0}])
    prices = ["--actor-price-per-hour", "0.5", "--learner-price-per-hour", "2"]
    (first, grown) = assert_rejected(
        "launch.simulate",
        {
            "no actors": ([nothing], "have no times of actors"),
            "no run": ([str(tmp_path / "c")], "is not a run folder"),
            "no actor": (
                [measured, "--actors", "2", "0"],
                "--actors must be 1 or more, got (2, 0)",
            ),
            "streams": ([measured, "--streams", "-3"], "--streams must be 1 or more, got -3"),
            "no price": (
                [measured, "--actor-price-per-hour", "-1"],
                "--actor-price-per-hour must not be negative, got -1",
            ),
        },
        then=[
            [measured, "--actors", "2", "8", *prices],
            [measured, "--actors", "8", "--streams", "8"],
        ],
    )
    status, said = first
    assert status == 0
    # 12 s of play and 4 s of learning; 100 iterations take 100 · 16 s, at 3 an hour.
    assert "2 0 225 0.44 75% 0% 31% 1.33 actors" in said
    assert (
        "8 1 600 0.17" in said
        and "the run has 4 streams, so more actors have nothing to do" in said
    )
    status, said = grown
    # Twice the streams: 96 steps, no more, take 6 s instead of 4, and a commit 2 s.
    assert status == 0 and "8 0 300 0.33" in said and "learning 6.00 s, commit 2.00 s" in said
