"""The live view of a run: a table on a terminal, one plain line per iteration elsewhere."""

import math
import time
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any

from rich.console import Console
from rich.live import Live
from rich.table import Table

import games
from selfplay import imitation
from selfplay.config import TrainConfig
from selfplay.episode import row_bytes
from selfplay.store import metrics, window


class Progress:
    """Shows committed iterations; a context manager."""

    def __init__(self, config: TrainConfig, folder: Path, *, plain: bool = False) -> None:
        """Announce the run and the disk it will take."""
        self._config, self._folder = config, folder
        self._console = Console(soft_wrap=True)
        self._rows: list[Mapping[str, Any]] = []
        self._lines: list[list[tuple[str, str]]] = []  # what was shown of them
        self._exam: Mapping[str, Any] = {}
        self._recent: list[float] = []
        live = self._console.is_terminal and not plain
        self._live = Live(console=self._console, auto_refresh=False) if live else None
        positions = config.iterations * config.selfplay.positions
        row = row_bytes(games.make(config.game))
        needed = window.bytes_needed(config.replay, positions, row, config.store.keep_for_verify)
        self.say(
            f"{config.game}: {config.iterations} iterations of {config.selfplay.positions:,} "
            f"positions into {folder}; replay will take about {needed / 2**20:,.0f} MB of disk"
        )

    def __enter__(self) -> "Progress":
        if self._live:
            self._live.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        at: TracebackType | None,
    ) -> None:
        if self._live:
            self._live.stop()

    def say(self, text: str) -> None:
        """One sentence of its own, which stays: above the live view, if there is one."""
        self._console.print(text, highlight=False, markup=False)

    def end(self, text: str) -> None:
        """The last words, below the live view."""
        if self._live:
            self._live.stop()
        self.say(text)

    def show(self, row: Mapping[str, Any]) -> None:
        """A committed iteration."""
        if self._rows and _imitates(row) != _imitates(self._rows[-1]):
            # self-play has other columns than imitation
            self._rows, self._lines, self._recent = [], [], []
        self._rows.append(row)
        self._exam = row.get("exam") or self._exam
        seconds = row["seconds"]
        took = seconds["learn"] + seconds["measure" if _imitates(row) else "play"]
        self._recent = [*self._recent[-9:], took]
        self._lines.append(self._cells(row, row.get("exam", {})))
        if self._live:
            self._live.update(self._table(), refresh=True)
        else:
            self.say("  ".join(f"{name} {text}" for name, text in self._lines[-1]))

    def finished(self, run: Any) -> None:
        """Where the run lies and what to do next."""
        version = run.next_iteration - 1
        if version < 0:
            self.end(f"stopped during imitation; the same command goes on in {self._folder}")
            return
        learnt = run.commits.read(0).metrics_row["imitation"]
        if learnt:
            texts = ", ".join(f"{name} {text}" for name, text in measured(learnt["held_out"]))
            self.say(f"version 0 is version {learnt['version']} of imitation: {texts}")
        proven = self._folder if version else self._folder / imitation.FOLDER
        state = "complete" if version >= self._config.iterations else "stopped"
        self.end(
            f"{state}: version {version} in {self._folder}\n"
            f"  grade it:      python launch/exam.py {self._folder}\n"
            f"  prove it:      python launch/verify.py {proven} --iterations 1:3\n"
            f"  export it:     python launch/export.py {self._folder}@last\n"
            f"  curves:        tensorboard --logdir {self._folder}"
        )

    def interrupted(self, started: float, why: object = "interrupted") -> None:
        """Ctrl-C, or a cluster that is gone: what is safe, and how to go on."""
        safe = "nothing is committed yet"
        for part, what in ((imitation.FOLDER, " of imitation"), ("", "")):
            if done := metrics.read(self._folder / part):
                last = f"iteration {done[-1]['iteration']}{what}"
                safe = f"everything up to {last} is safe in {self._folder}"
        self.end(f"{why} after {time.time() - started:.0f} s; {safe}. The same command resumes it.")

    def _cells(self, row: Mapping[str, Any], exam: Mapping[str, Any]) -> list[tuple[str, str]]:
        learn, nan = row["learner"], math.nan
        pace = sum(self._recent) / max(len(self._recent), 1)
        total = row["of"] if _imitates(row) else self._config.iterations
        spent = [
            ("FLOPs", f"10^{row['ledger']['ooms']:.2f}"),
            ("time", clock(row["seconds"]["total"])),
            ("left", clock((total - row["iteration"]) * pace)),
        ]
        losses = [
            ("policy", f"{learn.get('policy_loss', nan):.3f}"),
            ("value", f"{learn.get('value_loss', nan):.3f}"),
        ]
        if _imitates(row):
            return [
                ("imitation", f"{row['iteration']}/{total}"),
                ("epoch", f"{row['epoch']:.2f}/{self._config.imitation.epochs}"),
                *losses,
                *measured(row["held_out"]),
                *spent,
            ]
        play = row["selfplay"]
        speed = self._config.selfplay.positions / max(pace, 1e-9)
        grades = " ".join(
            f"{name.removeprefix('sims')}:{100 * grade['kept']:.1f}%"
            for name, grade in exam.items()
        )
        return [
            ("iteration", f"{row['iteration']}/{total}"),
            ("games", f"{play['games']}"),
            ("plies", f"{play.get('plies', nan):.1f}"),
            ("positions/s", f"{speed:,.0f}"),
            *losses,
            ("exam", grades or "-"),
            *([("actors", f"{row['pool']['actors']:.0f}")] if self._config.cluster.address else []),
            *([("Elo", rated(row["elo"]))] if self._config.elo.budgets else []),
            *spent,
        ]

    def _table(self) -> Table:
        newest = self._cells(self._rows[-1], self._exam)
        table = Table(title=f"{self._config.game} → {self._folder}")
        for name, _ in newest:
            table.add_column(name, justify="right")
        for cells in self._lines[-12:-1]:
            table.add_row(*(text for _, text in cells))
        table.add_row(*(text for _, text in newest), style="bold")
        return table


def _imitates(row: Mapping[str, Any]) -> bool:
    return "selfplay" not in row


def measured(held_out: Mapping[str, Any]) -> list[tuple[str, str]]:
    """How well held-out games are predicted, as columns; a dash for what they do not tell."""
    columns = [
        ("held out: policy", held_out["policy_loss"], ".3f"),
        ("value", held_out["value_loss"], ".3f"),
        ("top 1", held_out["top1"], ".1%"),
        ("top 5", held_out["top5"], ".1%"),
    ]
    return [(name, "-" if math.isnan(x) else format(x, form)) for name, x, form in columns]


def rated(elo: Mapping[str, Any]) -> str:
    """The newest rated version at its largest budget, with half its 95 % interval: "12:-320±60"."""
    if not elo:
        return "-"
    budget = max(int(name[4:]) for name in elo if name.startswith("sims"))
    found = elo[f"sims{budget}"]
    half = (found["high"] - found["low"]) / 2
    return f"{elo['version']}:{found['elo']:+.0f}±{half:.0f}"


def clock(seconds: float) -> str:
    """``m:ss``."""
    return f"{int(seconds) // 60}:{int(seconds) % 60:02d}"
