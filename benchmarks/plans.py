"""Accuracy of plans: small studies are planned and then run.

    python -m benchmarks.plans --out /tmp/plans              # ten studies, 1 to 3 minutes each
    python -m benchmarks.plans --out /tmp/plans --only hex_widths rates

Runs each study by launch/ablate.py, as a user would, and compares the range in the plan's last line
with the seconds from that line to the end of the command. The studies share a compilation cache
that is empty at first. Studies in OUT/plans.jsonl are not repeated. Run it on an idle machine.
"""

import argparse
import json
import os
import re
import shutil
import subprocess
import sys
import time
from dataclasses import asdict, dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PLANNED = re.compile(r"\d+ runs?, .* FLOPs; (.+) left\n")
UNITS = {"s": 1, "min": 60, "h": 3600}

RATED = "--versions 2 --max-games 500"
STUDIES = {
    "hex_widths": "hex_3 --grid network.width=4,16 search.num-simulations=2,8 --seeds 1 "
    f"--fix iterations=4 --sims 0 8 {RATED}",
    "rates": "hex_3 --grid learner.learning-rate=0.001,0.004 --seeds 2 --fix iterations=6 "
    f"--sims 0 {RATED}",
    "hex_4": "hex_4 --grid search.num-simulations=4,16 --seeds 1 --fix iterations=3 "
    f"network.width=8 --sims 0 16 --anchor random {RATED}",
    "search": "connect_four_smoke --grid search.algorithm=gumbel,puct --seeds 2 "
    f"--sims 0 8 --anchor random {RATED}",
    "symmetries": "connect_four --grid learner.symmetries=true,false --seeds 1 --fix iterations=2 "
    f"network.width=8 network.depth=1 --sims 0 --anchor random {RATED}",
    "kinds": f"hex_3 --grid network.kind=conv,mlp --seeds 2 --fix iterations=4 --sims 0 32 {RATED}",
    "depths": "hex_5 --grid network.depth=1,2 --seeds 1 --fix iterations=2 network.width=8 "
    f"search.num-simulations=8 --sims 0 {RATED}",
    "seeds": "hex_3 --seeds 6 --fix iterations=3 --versions 3 --max-games 2000",
    "connect_four_widths": "connect_four_smoke --grid network.width=8,16,32 --seeds 2 "
    f"--fix iterations=8 --sims 0 --anchor random {RATED}",
    "tic_tac_toe": "connect_four_smoke --grid selfplay.batch_size=16,64 --seeds 2 "
    f"--fix game=tic_tac_toe iterations=12 --sims 0 4 {RATED}",
}


@dataclass(frozen=True)
class TimedPlan:
    """The planned range of a study and its real time, in seconds."""

    name: str
    planning: float
    low: float
    high: float
    took: float

    @property
    def held(self) -> bool:
        """True = the study took a time within the range."""
        return self.low <= self.took <= self.high


def seconds(text: str) -> float:
    """Parses a time as commands print it: "45 s", "12 min", "1 h 05 min"."""
    words = text.split()
    return sum(
        float(number) * UNITS[unit] for number, unit in zip(words[::2], words[1::2], strict=True)
    )


def bounds(text: str) -> tuple[float, float]:
    """Parses a range such as "8 to 14 min"; a low end without a unit has that of the high end."""
    low, _, high = text.partition(" to ")
    high = high or low
    low = low if " " in low else f"{low} {high.split()[1]}"
    return seconds(low), seconds(high)


def run(name: str, arguments: str, out: Path) -> TimedPlan:
    """Runs a study in `out`/`name`, and times its plan and the rest.

    Raises:
        RuntimeError: the command failed, or printed no plan.
    """
    shutil.rmtree(out / name, ignore_errors=True)
    words = [sys.executable, str(ROOT / "launch/ablate.py"), *arguments.split()]
    cache = {"JAX_COMPILATION_CACHE_DIR": str(out / "cache")}
    began, planned, text = time.monotonic(), 0.0, ""
    with (
        (out / f"{name}.log").open("w") as log,
        subprocess.Popen(
            [*words, "--out", str(out / name)],
            env={**os.environ, **cache},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        ) as process,
    ):
        try:
            for line in process.stdout or ():
                log.write(line)
                log.flush()
                if not planned and (match := PLANNED.fullmatch(line)):
                    planned, text = time.monotonic(), match[1]
        except BaseException:
            process.terminate()
            raise
    ended = time.monotonic()
    if process.returncode or not planned:
        raise RuntimeError(f"{name} ended with status {process.returncode}, see {log.name}")
    return TimedPlan(name, planned - began, *bounds(text), ended - planned)


def report(outcomes: list[TimedPlan]) -> str:
    """Formats a table, with the number of plans that held."""
    lines = [f"{'study':20}{'planning':>9}{'low':>7}{'high':>7}{'ratio':>7}{'took':>7}  held"]
    for x in outcomes:
        lines.append(
            f"{x.name:20}{x.planning:9.0f}{x.low:7.0f}{x.high:7.0f}"
            f"{x.high / x.low:7.2f}{x.took:7.0f}  {'yes' if x.held else 'NO'}"
        )
    held, widest = sum(o.held for o in outcomes), max(o.high / o.low for o in outcomes)
    lines.append(f"held {held} of {len(outcomes)}; the widest range is {widest:.2f}×")
    return "\n".join(lines)


def main() -> None:
    """Runs the studies that are missing, and prints the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--out", type=Path, required=True, help="folder of studies and results")
    parser.add_argument("--only", nargs="+", choices=list(STUDIES), default=list(STUDIES))
    options = parser.parse_args()
    out = options.out.absolute()
    out.mkdir(parents=True, exist_ok=True)
    results = out / "plans.jsonl"
    lines = results.read_text().splitlines() if results.exists() else []
    outcomes = {x.name: x for x in (TimedPlan(**json.loads(line)) for line in lines)}
    for name in options.only:
        if name in outcomes:
            continue
        print(f"{name}: launch/ablate.py {STUDIES[name]}", flush=True)
        outcomes[name] = run(name, STUDIES[name], out)
        with results.open("a") as file:
            file.write(json.dumps(asdict(outcomes[name])) + "\n")
    print(report(list(outcomes.values())))


if __name__ == "__main__":
    main()
