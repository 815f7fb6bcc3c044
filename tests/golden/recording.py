"""Golden digests: what small runs of everything that computes gave when they were recorded.

    XLA_FLAGS=--xla_backend_optimization_level=0 python -m tests.golden.recording

records them again, with files of the present format beside them. Do so only when a change is meant
to change bits, in a commit of its own that says why. A refactoring never needs it.
"""

from __future__ import annotations

import contextlib
import json
import shutil
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from selfplay import determinism

if __name__ == "__main__":
    determinism.pin()  # as tests/conftest.py does

import numpy as np

import games
from selfplay.acting.config import SelfPlayConfig
from selfplay.cluster.config import ClusterConfig
from selfplay.experts.building import GameSource, build
from selfplay.experts.filters import Filters
from selfplay.experts.game_record import ExpertGame
from selfplay.experts.selection import SourceStats
from selfplay.imitation.config import ImitationConfig
from selfplay.imitation.imitate import FOLDER
from selfplay.ladder.config import LadderConfig
from selfplay.ladder.ladder import Ladder, LadderState
from selfplay.learning.config import LearnerConfig
from selfplay.model.config import NetworkConfig
from selfplay.players import specs
from selfplay.players.version import Version
from selfplay.ratings import elo
from selfplay.runs import metrics
from selfplay.runs.codec import from_json, to_json
from selfplay.runs.renamed import with_today_names
from selfplay.search.config import SearchConfig
from selfplay.solved.config import ExamConfig
from selfplay.training.config import StoreConfig, TrainConfig
from selfplay.training.loop import train

GOLDEN = Path(__file__).resolve().parent / "golden.json"
FORMAT_1 = Path(__file__).resolve().parent / "format_1"
STOPPED = 2  # the recorded run's last iteration, of 3: it can be resumed
FINGERPRINTS = ("probe", "learner_probe")

BASE = TrainConfig(
    game="connect_four",
    iterations=3,
    network=NetworkConfig(width=4, depth=1, head_width=8),
    search=SearchConfig(num_simulations=4),
    selfplay=SelfPlayConfig(streams=2, batch_size=8, segment_length=12),
    learner=LearnerConfig(batch_size=32, shards=4, warmup_steps=2),
    exam=ExamConfig(budgets=()),
    store=StoreConfig(keep_for_verify=True),
    cluster=ClusterConfig(actors=0),
)
PUCT = SearchConfig(algorithm="puct", num_simulations=6)
IMITATION = ImitationConfig(
    dataset="experts",
    epochs=1,
    positions_per_iteration=150,
    eval_positions=100,
    learner=LearnerConfig(batch_size=32, shards=4, warmup_steps=2),
    expert_fraction=0.5,
    expert_half_life=2.0,
)
RUNS: Mapping[str, TrainConfig] = {
    "connect_four": BASE,
    "connect_four_lag_1_mlp": replace(
        BASE, policy_lag=1, network=replace(BASE.network, kind="mlp")
    ),
    "hex_swap_puct": replace(BASE, game="hex?size=3&swap=true", search=PUCT, iterations=2),
    "go_5x5": replace(BASE, game="go?size=5&komi=3.5", iterations=2),
    "imitation": replace(BASE, iterations=2, imitation=IMITATION),
}


def digests(config: Mapping[str, Any], folder: Path, archive: Path) -> list[dict[str, str]]:
    """Trains one of the runs; returns the digests of all iterations, those of imitation first."""
    run = from_json(TrainConfig, with_today_names(config))
    if run.imitation.dataset:
        run = replace(run, imitation=replace(run.imitation, dataset=str(archive)))
    train(run, folder)
    parts = (folder / FOLDER, folder) if run.imitation.dataset else (folder,)
    return [row["digest"] for part in parts for row in metrics.read(part)]


def fingerprint(folder: Path) -> dict[str, str]:
    """Returns the digests of canonical computations that the run in `folder` recorded.

    Where they differ, the machine computes other bits, and golden digests say nothing.
    """
    first = metrics.read(folder)[0]
    return {name: first[name] for name in FINGERPRINTS}


def expert_archive(folder: Path) -> None:
    """Writes an archive of 80 random games of Connect Four that Black is said to have won."""
    game, rng = games.make("connect_four"), np.random.default_rng(0)
    played = [ExpertGame(rng.permutation(42).astype(np.int16)[:7] % 7, 1) for _ in range(80)]
    source = GameSource(SourceStats("random"), lambda: played)
    build(folder, "connect_four", game, [source], {}, 0.2, Filters(), lambda *a: None)


def ladder(path: Path, run: str) -> dict[str, Any]:
    """Plays a small ladder of the run's versions; returns its games and `plain_ratings`."""
    game = games.make("connect_four")
    names = [f"{run}@{version}?sims={sims}" for version in (1, STOPPED) for sims in (0, 4)]
    everyone = [specs.parse(spec, game) for spec in ("random", *names)]
    config = LadderConfig(opening_plies=2, pairs=2, pairings=4)
    with Ladder(path, game, "connect_four", everyone, "random", config) as made:
        standing = made.run_until(1.0, 40, 1)
        played = [(g.first, g.second, list(g.moves), g.outcome) for g in made.database.games()]
        ratings = {name: list(map(str, pair)) for name, pair in plain_ratings(standing).items()}
        return {"games": [list(map(str, game)) for game in played], "ratings": ratings}


def plain_ratings(state: LadderState) -> dict[str, tuple[float, float]]:
    """Rates players by the recorded model, without pair effects: name → Elo, standard error."""
    players, anchor = len(state.entries), state.ratings.anchor
    ratings = elo.fit(state.games, players, anchor, pair_effects=False)
    pairs = zip(ratings.elo.tolist(), ratings.stderr.tolist(), strict=True)
    return {entry.spec: pair for entry, pair in zip(state.entries, pairs, strict=True)}


def main() -> None:
    """Records everything."""
    shutil.rmtree(FORMAT_1, ignore_errors=True)
    archive = FORMAT_1 / "experts"
    expert_archive(archive)
    recorded: dict[str, Any] = {"runs": {}}
    for name, config in RUNS.items():
        with tempfile.TemporaryDirectory() as folder:
            written = to_json(config)
            values = digests(written, Path(folder) / "run", archive)
            recorded["runs"][name] = {"config": written, "digests": values}
            recorded.setdefault("fingerprint", {})[name] = fingerprint(Path(folder) / "run")
        print(name, file=sys.stderr)
    run = FORMAT_1 / "run"
    train(BASE, run, lambda row: row.iteration == STOPPED)
    shutil.rmtree(run / "tensorboard")
    (FORMAT_1 / "ladder").mkdir()
    with contextlib.chdir(FORMAT_1):  # names in files start from here, wherever the checkout is
        Version.load(f"run@{STOPPED}").export(Path("version.safetensors"))
        recorded["ladder"] = ladder(Path("ladder/ladder.db"), "run")
    for note in run.glob("checkpoints/*/arrays/commit_success.txt"):
        note.write_text("Orbax's note of where it wrote; nothing reads it")
    for lock in FORMAT_1.glob("*/lock"):
        lock.unlink()
    GOLDEN.write_text(json.dumps(recorded, indent=1) + "\n")


if __name__ == "__main__":
    main()
