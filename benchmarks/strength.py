"""Time to strength: a preset and another side train for equal seconds and take the same exam.

    python -m benchmarks.strength --minutes 10                 # 3 seeds of each side: 60 minutes
    python -m benchmarks.strength --against peer --out studies/strength_peer
    python -m benchmarks.strength --minutes 30 --out studies/strength30 -- --iterations 600
    python -m benchmarks.strength --minutes 10 --report        # do not train; grade and print

The other side is `connect_four_baseline`, planned for 570 iterations as it was when it was
published, or the peer, pgx's example. One side trains at a time, with the whole machine: our
presets by `launch/train.py`, the peer by `peer.train` in a separate process with XLA's default
settings. Their order alternates from seed to seed. Seconds are of training alone: compilation,
evaluation and saving the peer's models do not count, our commits do (`grades.committed_at`). Each
moment compares a preset's last version committed before it; of the peer, the first iteration that
ended after it. All are graded afterwards by one program on one thread: the fraction of exam
questions where the move loses the result, with 64 simulations and with the raw network (grades.py;
curves.py reports).

Rerun the command to resume. Presets resume; the peer's example cannot, so an interrupted training
of the peer starts over. Finished trainings are not repeated. Other settings in the same folder are
an error. Arguments after ``--`` go to our preset's launch/train.py.
"""

import argparse
import dataclasses
import os
import shutil
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from selfplay import determinism

determinism.pin(1)

import jax
from rich.console import Console

from benchmarks import curves, grades, peer, worker
from benchmarks.commands import end_on_sigterm, launch
from benchmarks.grades import Grader, Side
from selfplay.runs.files import CorruptedFile, read_json, write_json
from selfplay.solved import exam as exams

GRID = (0.1, 0.2, 0.5, 1, 2, 3, 5, 7, 10, 15, 20, 30, 45, 60)  # minutes


def moments(minutes: float) -> list[float]:
    """Returns the minutes to compare at, spaced about evenly on a log scale, the end included."""
    return [m for m in map(float, GRID) if minutes / 30 <= m < minutes] + [minutes]


BASELINE = ("connect_four_baseline", "--iterations", "570")


def train_preset(side: Side, options: argparse.Namespace) -> None:
    """Starts or resumes a run of a preset, unless it has the minutes or is at its end."""
    seconds, over = grades.preset_progress(side.folder)
    if over or seconds >= 60 * options.minutes:
        return
    preset, *flags = BASELINE if side.name == "baseline" else (options.preset, *options.extra)
    say(
        f"{preset}, seed {side.seed}: training from {seconds:.0f} s to {60 * options.minutes:.0f} s"
    )
    launch(
        [
            *(sys.executable, "launch/train.py", preset),
            *("--seed", str(side.seed)),
            *("--out", str(side.folder / "run")),
            *("--max-seconds", str(60 * options.minutes)),
            "--exam.budgets",  # no exam while training: the networks are graded afterwards
            "--store.keep-for-verify",  # every version
            "--plain",
            *flags,
        ]
    )


def train_peer(side: Side, options: argparse.Namespace) -> None:
    """Trains the peer from the start, unless that is done."""
    if grades.peer_done(side.folder, options.minutes):
        return
    shutil.rmtree(side.folder, ignore_errors=True)
    say(f"the peer, seed {side.seed}: training for {60 * options.minutes:.0f} s")
    config = {**options.peer, "seed": side.seed}
    at = [60 * moment for moment in moments(options.minutes)]
    request = worker.train_request(side.folder, config, 60 * options.minutes, at)
    launch([sys.executable, "-m", "benchmarks.worker", "train", request])


def sides(options: argparse.Namespace) -> Iterator[Side]:
    """Yields the trainings in order: ours first for even seeds, the other first for odd ones."""
    both = ("ours", options.against)
    for seed in range(options.seeds):
        for name in both if seed % 2 == 0 else reversed(both):
            if name == "ours" or not options.ours_alone:
                yield Side(name, seed, options.out / f"{name}-{seed}")


def claim(options: argparse.Namespace) -> dict[str, Any]:
    """Writes the folder's settings, or checks that they are the same as before.

    Raises:
        ValueError: the folder has other settings.
    """
    config = dataclasses.asdict(peer.PeerConfig(**options.peer))
    del config["seed"]
    other = config if options.against == "peer" else list(BASELINE)
    settings = {"preset": options.preset, "extra": options.extra, options.against: other}
    file = options.out / "settings.json"
    if not file.exists():
        write_json(file, settings)
    stored = read_json(file)
    if stored != settings:
        differing = [name for name in settings if stored.get(name) != settings[name]]
        texts = [f"{n} was {stored.get(n)}, is {settings[n]}" for n in differing]
        raise ValueError(f"{options.out} has other settings: {'; '.join(texts)}")
    return settings


def report(options: argparse.Namespace, grader: Grader, settings: dict[str, Any]) -> None:
    """Grades, prints tables, and writes summary.json and strength.png."""
    shown = moments(options.minutes)
    graded = {(s.name, s.seed): grader.grade(s, shown) for s in sides(options)}
    graded = {name: curve for name, curve in graded.items() if curve}
    if not graded:
        say("nothing to report yet")
        return
    for sims in grades.BUDGETS:
        console.print(curves.table(graded, sims))
    console.print(curves.verdicts(graded))
    facts = {"jax": jax.__version__, "cores": os.cpu_count(), "exam": grader.exam.digest}
    write_json(options.out / "summary.json", curves.summary(graded, {**settings, **facts}))
    chance = 1 - exams.chance_result(grader.exam).result.kept.value
    curves.plot(graded, options.out / "strength.png", chance)
    say(f"{options.out / 'summary.json'}\n{options.out / 'strength.png'}")


console = Console(soft_wrap=True, highlight=False)


def say(text: str) -> None:
    """Prints a line."""
    console.print(text, markup=False)


def parse(arguments: Sequence[str]) -> argparse.Namespace:
    """Parses the options; `extra` holds the arguments after ``--``."""
    cut = list(arguments).index("--") if "--" in arguments else len(arguments)
    before, extra = list(arguments[:cut]), list(arguments[cut + 1 :])
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--minutes", type=float, default=10.0, help="of training [10]")
    parser.add_argument("--seeds", type=int, default=3, help="trainings per side [3]")
    parser.add_argument("--out", type=Path, default=Path("studies/strength"))
    parser.add_argument("--against", choices=tuple(curves.OTHERS), default="baseline")
    parser.add_argument("--ours-alone", action="store_true", help="leave the other side out")
    parser.add_argument("--preset", default="connect_four", help="ours [connect_four]")
    parser.add_argument(
        "--peer", nargs="*", default=[], metavar="FIELD=NUMBER", help="of peer.PeerConfig"
    )
    parser.add_argument("--positions", type=int, help="questions per set [all]")
    parser.add_argument("--report", action="store_true", help="do not train")
    options = parser.parse_args(before)
    if options.minutes <= 0 or options.seeds < 1:
        parser.error("--minutes must be positive and --seeds at least 1")
    fields = [item.partition("=") for item in options.peer]
    options.peer = {n: float(v) if "." in v or "e" in v else int(v) for n, _, v in fields}
    options.extra, options.out = extra, options.out.resolve()
    return options


def main() -> None:
    """Trains what is missing, grades and reports."""
    options = parse(sys.argv[1:])
    end_on_sigterm()
    settings = claim(options)
    grader = Grader(say, options.positions)
    for side in sides(options):
        if not options.report:
            (train_peer if side.name == "peer" else train_preset)(side, options)
        grader.grade(side, moments(options.minutes))
    report(options, grader, settings)


if __name__ == "__main__":
    try:
        main()
    except (ValueError, CorruptedFile) as error:
        raise SystemExit(f"error: {error}") from None
