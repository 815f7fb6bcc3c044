"""Time to strength: our preset and the peer train for equal seconds and sit the same exam.

    python -m benchmarks.strength --minutes 10                 # 3 seeds of each side: 60 minutes
    python -m benchmarks.strength --minutes 30 --out studies/strength30 -- --iterations 240
    python -m benchmarks.strength --minutes 10 --report        # train nothing; grade and print

One side trains at a time, with the whole machine: ours by `launch/train.py`, the peer by
`peer.train` in a process of its own with XLA's own settings. Their order alternates from seed to
seed. Seconds are of training alone: compilation and evaluation are not counted, nor is saving the
peer's models; our commits are (`grades.committed_at`). At each moment stands what was there by
then: of ours the last version committed before it, of the peer the first iteration ended after it.
All are graded afterwards by one program, on one thread: the share of exam questions at which the
move loses the result, with 64 simulations and with the raw network (grades.py; the report is
curves.py's).

The same command goes on where it was stopped. Ours resumes its run; the peer's example cannot
resume, so a training of its that was cut short starts over. Nothing that is done is repeated,
but other settings in the same folder are refused. What follows ``--`` goes to launch/train.py.
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

determinism.pin()

import jax
from rich.console import Console

from benchmarks import curves, grades, peer, worker
from benchmarks.commands import end_on_sigterm, launch
from benchmarks.grades import Grader, Side
from selfplay.runs.files import CorruptedFile, read_json, write_json
from selfplay.solved import exam as exams

GRID = (0.1, 0.2, 0.5, 1, 2, 3, 5, 7, 10, 15, 20, 30, 45, 60)  # minutes


def moments(minutes: float) -> list[float]:
    """When strength is looked at: spaced evenly on a logarithmic scale, the end included."""
    return [m for m in map(float, GRID) if minutes / 30 <= m < minutes] + [minutes]


def train_ours(side: Side, options: argparse.Namespace) -> None:
    """Starts or resumes the run, unless it has the minutes or is at its end."""
    seconds, over = grades.ours_progress(side.folder)
    if over or seconds >= 60 * options.minutes:
        return
    say(f"ours, seed {side.seed}: training from {seconds:.0f} s to {60 * options.minutes:.0f} s")
    launch(
        [
            *(sys.executable, "launch/train.py", options.preset),
            *("--seed", str(side.seed)),
            *("--out", str(side.folder / "run")),
            *("--max-seconds", str(60 * options.minutes)),
            "--exam.budgets",  # none: graded here, afterwards
            "--store.keep-for-verify",  # every version
            "--plain",
            *options.extra,
        ]
    )


def train_peer(side: Side, options: argparse.Namespace) -> None:
    """Trains from the start, unless that was done."""
    if grades.peer_done(side.folder, options.minutes):
        return
    shutil.rmtree(side.folder, ignore_errors=True)
    say(f"the peer, seed {side.seed}: training for {60 * options.minutes:.0f} s")
    config = {**options.peer, "seed": side.seed}
    at = [60 * moment for moment in moments(options.minutes)]
    request = worker.train_request(side.folder, config, 60 * options.minutes, at)
    launch([sys.executable, "-m", "benchmarks.worker", "train", request])


def sides(options: argparse.Namespace) -> Iterator[Side]:
    """Every training in its order: ours first for even seeds, the peer for odd ones."""
    for seed in range(options.seeds):
        for name in ("ours", "peer") if seed % 2 == 0 else ("peer", "ours"):
            if name in options.sides:
                yield Side(name, seed, options.out / f"{name}-{seed}")


def claim(options: argparse.Namespace) -> dict[str, Any]:
    """The folder's settings, written by the first command and the same for all that follow."""
    config = dataclasses.asdict(peer.PeerConfig(**options.peer))
    del config["seed"]
    settings = {"preset": options.preset, "extra": options.extra, "peer": config}
    file = options.out / "settings.json"
    if not file.exists():
        write_json(file, settings)
    found = read_json(file)
    if found != settings:
        differing = [name for name in settings if found.get(name) != settings[name]]
        texts = [f"{n} was {found.get(n)}, is {settings[n]}" for n in differing]
        raise ValueError(f"{options.out} has other settings: {'; '.join(texts)}")
    return settings


def report(options: argparse.Namespace, grader: Grader, settings: dict[str, Any]) -> None:
    """Prints tables; writes summary.json and strength.png."""
    shown = moments(options.minutes)
    found = {(s.name, s.seed): grader.grade(s, shown) for s in sides(options)}
    found = {name: curve for name, curve in found.items() if curve}
    if not found:
        say("nothing to report yet")
        return
    for sims in grades.BUDGETS:
        console.print(curves.table(found, sims))
    console.print(curves.verdicts(found))
    facts = {"jax": jax.__version__, "cores": os.cpu_count(), "exam": grader.exam.digest}
    write_json(options.out / "summary.json", curves.summary(found, {**settings, **facts}))
    chance = 1 - exams.chance_result(grader.exam).result.kept.value
    curves.plot(found, options.out / "strength.png", chance)
    say(f"{options.out / 'summary.json'}\n{options.out / 'strength.png'}")


console = Console(soft_wrap=True, highlight=False)


def say(text: str) -> None:
    """A line, at once."""
    console.print(text, markup=False)


def parse(arguments: Sequence[str]) -> argparse.Namespace:
    """The options, with `extra` for what follows ``--``."""
    cut = list(arguments).index("--") if "--" in arguments else len(arguments)
    own, extra = list(arguments[:cut]), list(arguments[cut + 1 :])
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--minutes", type=float, default=10.0, help="of training [10]")
    parser.add_argument("--seeds", type=int, default=3, help="trainings of each side [3]")
    parser.add_argument("--out", type=Path, default=Path("studies/strength"))
    parser.add_argument("--sides", nargs="+", choices=("ours", "peer"), default=["ours", "peer"])
    parser.add_argument("--preset", default="connect_four", help="ours [connect_four]")
    parser.add_argument(
        "--peer", nargs="*", default=[], metavar="FIELD=NUMBER", help="of peer.PeerConfig"
    )
    parser.add_argument("--positions", type=int, help="ask only so many questions of each set")
    parser.add_argument("--report", action="store_true", help="train nothing")
    options = parser.parse_args(own)
    if options.minutes <= 0 or options.seeds < 1:
        parser.error("--minutes must be positive and --seeds at least 1")
    fields = [item.partition("=") for item in options.peer]
    options.peer = {n: float(v) if "." in v or "e" in v else int(v) for n, _, v in fields}
    options.extra, options.out = extra, options.out.resolve()
    return options


def main() -> None:
    """Train what is missing, grade, report."""
    options = parse(sys.argv[1:])
    end_on_sigterm()
    settings = claim(options)
    grader = Grader(say, options.positions)
    for side in sides(options):
        if not options.report:
            (train_ours if side.name == "ours" else train_peer)(side, options)
        grader.grade(side, moments(options.minutes))
    report(options, grader, settings)


if __name__ == "__main__":
    try:
        main()
    except (ValueError, CorruptedFile) as error:
        raise SystemExit(f"error: {error}") from None
