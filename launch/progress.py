"""The live view of a run: a table on a terminal, one plain line per iteration elsewhere."""

import math
import textwrap
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, NamedTuple

from rich.console import Console
from rich.live import Live
from rich.text import Text

import games
from launch import cli
from selfplay.acting.row_schema import row_bytes
from selfplay.command_line import command, program
from selfplay.imitation import imitate
from selfplay.learning import loss_terms
from selfplay.phase import Phase
from selfplay.runs import metrics, window
from selfplay.runs.code_changes import has_imports
from selfplay.runs.codec import to_json
from selfplay.runs.metrics_row import ImitationRow, MetricsRow, SelfPlayRow, StartRow
from selfplay.runs.run import CONFIG
from selfplay.solved import suite
from selfplay.training.config import TrainConfig
from selfplay.training.verify import newest, verifiable

Cells = list[tuple[str, str]]
"""The cells of an iteration: pairs of a column's name and its text."""

ROWS = 12  # iterations that the table shows at most
SHORT = {  # headings where there is little room
    "iteration": "iter",
    "imitation": "iter",
    "positions/s": "pos/s",
    "held out: policy": "held out:\npolicy",
}
LEAVING = ("plies", "actors", "top 5", "top 1", "Elo", "exam", "games", "epoch", "positions/s")
"""Columns that leave a narrow table first, in this order; the others follow from the right."""


class Progress:
    """Shows committed iterations and the step that training is at; a context manager."""

    def __init__(self, config: TrainConfig, folder: Path, *, plain: bool = False) -> None:
        """Prints the run and its expected disk usage."""
        self._config, self._folder = config, folder
        self._console = Console()
        self._lines: list[Cells] = []  # of the newest iterations
        self._grades = "-"  # the text of the last exam
        self._recent: list[tuple[float, float]] = []  # seconds of play and learning; of everything
        self._imitates = False
        self._began = time.monotonic()
        self._before: float | None = None  # seconds of training in earlier processes
        self._mark: float | None = None  # when the last iteration ended, or the first one began
        self._phase: tuple[str, float] | None = ("starting", self._began)
        self._explained_idle = False  # printed why there are iterations without a learner step
        live = self._console.is_terminal and not plain
        self._live = None
        if live:
            view = self._view
            self._live = Live(console=self._console, get_renderable=view, refresh_per_second=2)
        rows, spec = config.selfplay.rows, config.stream_spec()
        fields = loss_terms.row_fields(spec.losses, surprise=spec.surprise)
        row = row_bytes(games.make(config.game), fields)
        total = config.iterations * rows
        needed = window.bytes_needed(config.replay, total, row, config.store.keep_for_verify)
        self.say(
            f"{config.game}: {config.iterations} iterations of {config.selfplay.positions:,} "
            f"positions into {folder}; replay will take about {needed / 2**20:,.0f} MB of disk"
        )
        if config.iterations and not config.learner.steps(rows):
            self._explain_idle(f"no iteration will take a learner step: {why_idle(config, rows)}")

    def __enter__(self) -> "Progress":
        if self._live:
            self._live.start(refresh=True)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        at: TracebackType | None,
    ) -> None:
        self._stop()

    def say(self, text: str) -> None:
        """Prints a sentence that stays: above the live view, if there is one."""
        self._print(text, soft_wrap=self._live is None)

    def end(self, text: str) -> None:
        """Prints the last lines, below the live view; commands in them can be copied."""
        self._stop()
        self._print(text, soft_wrap=True)

    def enter(self, phase: Phase) -> None:
        """Shows the step that begins; without a live view, prints only steps outside iterations."""
        now = time.monotonic()
        self._phase = str(phase), now
        if phase.iteration is not None and self._mark is None:
            self._mark = now
        if self._live:
            self._live.refresh()
        elif phase.iteration is None:
            self.say(f"{phase} …")

    def show(self, row: MetricsRow) -> None:
        """Shows a committed iteration."""
        imitates = isinstance(row, ImitationRow)
        if imitates != self._imitates:  # self-play has other columns than imitation
            self._imitates, self._lines, self._recent = imitates, [], []
        seconds, now = row.seconds, time.monotonic()
        took = seconds.learn + (seconds.measure if imitates else seconds.play)
        if self._before is None:
            self._before = seconds.total - took
        self._recent = [*self._recent[-9:], (took, now - self._mark if self._mark else took)]
        self._mark = now
        if isinstance(row, SelfPlayRow) and row.exam:
            self._grades = grades(row.exam)
        cells = self._cells(row)
        self._lines = [*self._lines, cells][-ROWS:]  # another list: a thread draws the old one
        if isinstance(row, SelfPlayRow) and not row.steps:
            reason = why_idle(self._config, int(row.selfplay["positions"]))
            self._explain_idle(f"iteration {row.iteration} took no learner step: {reason}")
        if self._live:
            self._live.refresh()
        else:
            self.say("  ".join(f"{name} {text}" for name, text in cells))

    def finished(self, run: Any) -> None:
        """Prints where the run is stored and what can be done with it."""
        version = run.next_iteration - 1
        if version < 0:
            self.end(f"stopped during imitation; the same command resumes it in {self._folder}")
            return
        start = run.commits.read(0).row
        if isinstance(start, StartRow) and (learned := start.imitation):
            texts = ", ".join(f"{name} {text}" for name, text in measured(learned["held_out"]))
            self.say(f"version 0 is version {learned['version']} of imitation: {texts}")
        if version and not any(
            isinstance(row, SelfPlayRow) and row.steps for row in metrics.read_rows(self._folder)
        ):
            self.say(f"no iteration took a learner step: version {version} is still version 0")
        state = "complete" if version >= self._config.iterations else "stopped"
        steps = next_steps(self._config, self._folder, version)
        lines = [f"  {purpose + ':':17}{command}" for purpose, command in steps]
        self.end("\n".join([f"{state}: version {version} in {self._folder}", *lines]))

    def interrupted(self, started: float, why: object = "interrupted") -> None:
        """Prints what is committed and how to resume, after Ctrl-C or a failure.

        Args:
            started: ``time.time()`` at the start of the training.
            why: the first words of the line.
        """
        safe = "nothing is committed yet"
        for part, what in ((imitate.FOLDER, " of imitation"), ("", "")):
            if done := metrics.read_rows(self._folder / part):
                last = f"iteration {done[-1].iteration}{what}"
                safe = f"everything up to {last} is safe in {self._folder}"
        took = cli.duration(time.time() - started)
        self.end(f"{why} after {took}; {safe}. The same command resumes it.")

    def _print(self, text: str, soft_wrap: bool) -> None:
        """Prints a text; without `soft_wrap`, lines end between words."""
        self._console.print(text, highlight=False, markup=False, soft_wrap=soft_wrap)

    def _explain_idle(self, text: str) -> None:
        """Prints, once, why there are iterations without a learner step."""
        if not self._explained_idle:
            self.say(text)
        self._explained_idle = True

    def _stop(self) -> None:
        """Ends the live view; its last table stays on the screen."""
        self._phase = None
        if self._live:
            self._live.stop()

    def _cells(self, row: MetricsRow) -> Cells:
        assert isinstance(row, (ImitationRow, SelfPlayRow))
        pace, whole = (sum(times) / len(times) for times in zip(*self._recent, strict=True))
        epochs, total = self._config.imitation.epochs, self._config.iterations
        if isinstance(row, ImitationRow):
            total = round(row.iteration / row.epoch * epochs)
        spent = [
            ("FLOPs", f"10^{row.ledger['ooms']:.2f}"),
            ("time", clock((self._before or 0.0) + time.monotonic() - self._began)),
            ("left", clock((total - row.iteration) * whole)),
        ]
        losses = [
            ("policy", number(row.learner.get("policy_loss", math.nan), ".3f")),
            ("value", number(row.learner.get("value_loss", math.nan), ".3f")),
        ]
        if isinstance(row, ImitationRow):
            return [
                ("imitation", f"{row.iteration}/{total}"),
                ("epoch", f"{row.epoch:.2f}/{epochs}"),
                *losses,
                *measured(row.held_out),
                *spent,
            ]
        play = row.selfplay
        speed = self._config.selfplay.positions / max(pace, 1e-9)
        return [
            ("iteration", f"{row.iteration}/{total}"),
            ("games", f"{play['games']}"),
            ("plies", number(play.get("plies", math.nan), ".1f")),
            ("positions/s", f"{speed:,.0f}"),
            *losses,
            ("exam", grades(row.exam)),
            *([("actors", f"{row.pool['actors']:.0f}")] if self._config.cluster.address else []),
            *([("Elo", rated(row.elo))] if self._config.elo.budgets else []),
            *spent,
        ]

    def _view(self) -> Text:
        """Returns the live view: the table, the phase and its clock."""
        width, height = self._console.size
        lines, phase = self._lines, self._phase
        view = Text(no_wrap=True, overflow="ignore")
        title = Text(f"{self._config.game} → {self._folder}", style="italic")
        titles = title.wrap(self._console, width, overflow="fold")
        for line in titles:
            view.append(line).append("\n")
        if lines:
            last = [(name, self._grades if name == "exam" else text) for name, text in lines[-1]]
            table = fit_columns([*lines[:-1], last], width)
            around = len(titles) + len(table.head) + len(table.rest) + 2
            view.append("".join(f"{line}\n" for line in table.head), style="dim")
            for line in table.rows[-max(1, height - around) : -1]:
                view.append(f"{line}\n")
            view.append(f"{table.rows[-1]}\n", style="bold")
            view.append("".join(f"{line}\n" for line in table.rest))
        if phase:
            what, since = phase
            now = time.monotonic()
            clocks = f" {clock(now - since)}, {clock(now - self._began)} since the start"
            view.append(f"{what[: max(0, width - len(clocks))]}{clocks}")
        return view


class Layout(NamedTuple):
    """Lines of text that fit a width: headings, a line for each iteration, what did not fit."""

    head: list[str]
    rows: list[str]
    rest: list[str]


def fit_columns(lines: Sequence[Cells], width: int) -> Layout:
    """Arranges iterations in columns without cutting any text.

    If there is no room for all, headings and gaps shrink; then columns leave the table, and their
    texts of the newest iteration go below it.
    """
    names = [name for name, _ in lines[-1]]
    order = {name: place for place, name in enumerate(LEAVING)}
    columns = list(range(len(names)))
    leaving = sorted(columns[1:], key=lambda i: (order.get(names[i], len(order)), -i))
    while True:
        for heads, gap in ((names, 2), ([SHORT.get(n, n) for n in names], 1)):
            parts = [heads[i].split("\n") for i in columns]
            sizes = [
                max(map(len, (*part, *(line[i][1] for line in lines))))
                for i, part in zip(columns, parts, strict=True)
            ]
            if sum(sizes) + gap * (len(columns) - 1) <= width or not leaving:
                high = max(map(len, parts))
                head = [[""] * (high - len(part)) + part for part in parts]
                rows = [[line[i][1] for i in columns] for line in lines]
                rest = [
                    f"{names[i]} {lines[-1][i][1]}" for i in range(len(names)) if i not in columns
                ]
                return Layout(
                    [_line(line, sizes, gap) for line in zip(*head, strict=True)],
                    [_line(line, sizes, gap) for line in rows],
                    textwrap.wrap("  ".join(rest), width, break_on_hyphens=False),
                )
        columns.remove(leaving.pop(0))


def _line(texts: Sequence[str], sizes: Sequence[int], gap: int) -> str:
    """Joins texts, each right-aligned in a column of its size."""
    return (" " * gap).join(text.rjust(size) for text, size in zip(texts, sizes, strict=True))


def next_steps(config: TrainConfig, folder: Path, version: int) -> list[tuple[str, str]]:
    """Returns what can be done with a run that ended at `version`: (purpose, command) pairs."""
    last = f"{folder}@last"
    trust = ("--trust-imports",) if has_imports(to_json(config)) else ()
    steps = [("play against it", command("play", "terminal", last, *trust))]
    if config.game in suite.FILES:
        steps.append(("grade it", command("exam", last, *trust)))
    learned = folder if version else folder / imitate.FOLDER
    if (learned / CONFIG).exists() and (recent := newest(verifiable(learned))):
        iterations = f"{recent[0]}:{recent[-1]}"
        steps.append(("prove it", command("verify", learned, "--iterations", iterations, *trust)))
    steps.append(("export it", command("export", last, *trust)))
    if curves := program("tensorboard", "--logdir", folder):
        steps.append(("see its curves", curves))
    return steps


def why_idle(config: TrainConfig, rows: int) -> str:
    """Returns why `rows` new positions give no learner step, and what to do."""
    if not rows:
        return (
            "none of its games has ended, and positions are learned from when their game ends. A "
            "game may take several iterations; --selfplay.segment-length makes them longer"
        )
    learner = config.learner
    return (
        f"{rows:,} new positions, each to be learned from {learner.replay_ratio:g} times, are no "
        f"more than half a batch of {learner.batch_size:,}. Lower --learner.batch-size, or raise "
        "--learner.replay-ratio, --selfplay.batch-size or --selfplay.segment-length"
    )


def measured(held_out: Mapping[str, Any]) -> Cells:
    """Returns the columns of a held-out evaluation; a dash for a number that is missing."""
    columns = [
        ("held out: policy", held_out["policy_loss"], ".3f"),
        ("value", held_out["value_loss"], ".3f"),
        ("top 1", held_out["top1"], ".1%"),
        ("top 5", held_out["top5"], ".1%"),
    ]
    return [(name, number(x, form)) for name, x, form in columns]


def number(value: float, form: str) -> str:
    """Formats a number; NaN becomes a dash."""
    return "-" if math.isnan(value) else format(value, form)


def grades(exam: Mapping[str, Any]) -> str:
    """Formats the fraction of questions that keep the result, by budget: "0:81.6% 64:86.9%"."""
    texts = (f"{n.removeprefix('sims')}:{100 * grade['kept']:.1f}%" for n, grade in exam.items())
    return " ".join(texts) or "-"


def rated(elo: Mapping[str, Any]) -> str:
    """Formats the newest rating, with half its 95 % interval: "12:-320±60" is of version 12."""
    if not elo:
        return "-"
    budget = max(int(name[4:]) for name in elo if name.startswith("sims"))
    rating = elo[f"sims{budget}"]
    half = (rating["high"] - rating["low"]) / 2
    return f"{elo['version']}:{rating['elo']:+.0f}±{half:.0f}"


def clock(seconds: float) -> str:
    """Formats seconds as ``m:ss``, from an hour on as ``h:mm:ss``."""
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"
