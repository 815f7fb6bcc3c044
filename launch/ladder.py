"""Rate versions of runs, engines and perfect players on one Elo ladder.

    python launch/ladder.py runs/connect_four --sims 0 16 64
    python launch/ladder.py runs/a runs/b@last --players "rollouts?sims=100" --until-stderr 25
    GNUGO="gnugo --mode gtp --chinese-rules --positional-superko --capture-all-dead --never-resign"
    python launch/ladder.py runs/go_9x9 --engines "$GNUGO --level 0" "$GNUGO --level 5"

An engine must play a game out: every stone on the board counts as alive.
With several runs it ends by saying which one is ahead at equal training, and draws it.
The same command goes on where it was stopped; --max-games and --until-stderr may change.
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from launch import cli

cli.prepare()

import math
import os
import signal
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Annotated, Literal

import tyro
from rich.console import Console

import games
from games.game import Game
from launch.ladder_progress import Watcher
from selfplay.command_line import USER_FOLDER, command, near
from selfplay.imitation import imitate
from selfplay.ladder import database, openings, rating_plot, tables
from selfplay.ladder.anchor import default_anchor, resolve_anchor
from selfplay.ladder.config import AUTO, LadderConfig
from selfplay.ladder.ladder import Ladder, LadderState
from selfplay.players import specs
from selfplay.players.specs import GTP, Player
from selfplay.players.version import SUFFIX, Version, split_version
from selfplay.runs.files import CorruptedFile, in_words, write_bytes
from selfplay.runs.run import check_distinct, read_config
from selfplay.runs.snapshots import snapshot_versions
from selfplay.scaling.at_training import TOLERANCE
from selfplay.search.config import SearchConfig

STOPPED = "stopped; the same command goes on"


@dataclass(frozen=True)
class Options:
    """Who plays, how sure the ratings shall be, and where the ladder lies."""

    runs: Annotated[tuple[str, ...], tyro.conf.Positional] = ()
    """RUN (its log-spaced versions), RUN@VERSION, RUN@last, RUN@best, or a .safetensors file."""
    sims: tuple[int, ...] = (0, 64)
    """Budgets of every version: simulations a move; 0 is the raw network."""
    versions: int = 6
    """Versions of each RUN, evenly spaced in log(version), its newest one included."""
    search: Literal["gumbel", "puct"] | None = None
    """The search of the versions; the one that they were trained with when left out."""
    players: tuple[str, ...] = ()
    """More players: random, rollouts?sims=100, solver?blunder=0.1, RUN@40?sims=64&search=puct."""
    engines: tuple[str, ...] = ()
    """Command lines of Go engines that speak GTP."""
    game: str | None = None
    """The game; that of the first run when left out."""
    anchor: str | None = None
    """The player at 0 Elo. Left out: the one that the ladder began with; for a new ladder the
    solver if the game has one that is installed, else random."""
    out: Path | None = None
    """The ladder's folder; RUN/ladder or ladders/GAME when left out."""
    until_stderr: float = 25.0
    """Stop when every rating's standard error, relative to the anchor, is below this, in Elo."""
    max_games: int = 20_000
    """Begin no further round with so many games played."""
    how: Annotated[LadderConfig, tyro.conf.arg(name="")] = field(default_factory=LadderConfig)
    openings: Path | None = None
    """A file of openings, one a line, moves in the game's notation; random ones when left out."""
    workers: int = field(default_factory=cli.cores)
    """Pairings played at once; no game depends on it."""
    timeout_s: float = 60.0
    """Seconds an engine may think about a move."""
    sgf: bool = False
    """Write all games as SGF, too (Go)."""
    plain: bool = False
    """Lines instead of a live table."""


def log_spaced(versions: list[int], count: int) -> list[int]:
    """`count` of these versions, evenly in log(1 + version), the first and the last included."""
    if count >= len(versions):
        return versions
    if count == 1:
        return versions[-1:]
    low, high = (float(v + 1) for v in (versions[0], versions[-1]))
    wanted = [low * (high / low) ** (i / (count - 1)) - 1 for i in range(count)]
    chosen = {min(versions, key=lambda v: abs(v - w)) for w in wanted}
    return sorted(chosen)


def named_game(options: Options) -> str:
    """The game that is asked for, as the registry reads it."""
    if options.game:
        return options.game
    if not options.runs:
        raise ValueError("which game? name a run, or a game as in --game connect_four")
    first = options.runs[0]
    if first.endswith(SUFFIX):
        return Version.load(first).config["game"]
    return read_config(split_version(first)[0])["game"]


def gather(options: Options, game: Game) -> tuple[list[Player], str]:
    """The players, weakest kinds first, and the anchor's spec."""
    for budget in options.sims:
        SearchConfig(num_simulations=budget)  # a negative budget is an error before any work
    found: dict[str, Player] = {}

    def enter(spec: str) -> None:
        one = specs.parse(spec, game)
        if found.setdefault(one.spec, one).digest != one.digest:
            raise ValueError(f"two files hold different parameters, and both call them {one.spec}")

    for spec in (*options.players, *(GTP + engine for engine in options.engines)):
        enter(spec)
    check_distinct(run for run in options.runs if not split_version(run)[1])
    for run in options.runs:
        names = [run]
        if not run.endswith(SUFFIX) and not split_version(run)[1]:
            if games.make(own := read_config(run)["game"]) != game:
                raise ValueError(
                    f"{run} plays {own}, and this ladder is of {game!r}: runs of different games "
                    "cannot be compared; rate those of one game"
                )
            first = 0 if Path(run, imitate.FOLDER).is_dir() else 1  # the start that was learnt
            kept = [v for v in snapshot_versions(Path(run)) if v >= first]
            kept = log_spaced(kept, options.versions)
            if not kept:
                raise ValueError(f"{run} has no version yet: let it train for an iteration")
            names = [f"{run}@{version}" for version in kept]
        for budget in options.sims:
            search = f"&search={options.search}" if options.search else ""
            for name in names:
                enter(f"{name}?sims={budget}{search}")
    anchor = options.anchor or default_anchor(game)
    one = specs.parse(anchor, game)
    everyone = {one.spec: one, **found}
    if len(everyone) < 2:
        raise ValueError("a ladder takes two players; name a run, or --players")
    return list(everyone.values()), one.spec


def write(
    folder: Path, title: str, game: Game, ladder: Ladder, standing: LadderState, options: Options
) -> None:
    """Write table, CSV, plot, and games on request."""
    write_bytes(folder / "ladder.csv", tables.to_csv(standing).encode())
    write_bytes(folder / "ladder.md", tables.to_markdown(standing).encode())
    write_bytes(folder / "ladder.png", rating_plot.to_png(standing, title))
    if options.sgf:
        recorded = ladder.database.games()
        write_bytes(folder / "games.sgf", tables.to_sgf(game, standing.entries, recorded))


def compare(
    folder: Path, game_name: str, named: Sequence[str], standing: LadderState, console: Console
) -> None:
    """Says who is ahead at equal training, and draws it, where versions of several runs are rated.

    Of a ladder that has rated others before, the runs are compared that are named now, if these are
    several.
    """
    from selfplay.report import page, rated_runs
    from selfplay.scaling import from_ladder

    folders = {Path(split_version(run)[0]) for run in named if not run.endswith(SUFFIX)}
    try:
        runs = rated_runs.RatedRuns.of(folder / database.FILE, game_name, standing.entries)
        if len(folders) > 1:
            runs = runs.only(folders)
        if len(runs.labels) < 2:
            return
        without = set(tables.unrated(standing))
        rated = {from_ladder.run_of(one) for one in standing.entries if one.spec not in without}
        if unrated := sorted(runs.labels.keys() - rated):
            console.print(f"not compared, for want of games: {', '.join(unrated)}", markup=False)
        if len(runs.labels) - len(unrated) < 2:
            return
        finding = rated_runs.compare(standing, runs.points(standing))
        if finding is None:
            return
        for name, content in page.single(finding).items():
            write_bytes(folder / name, content)
    except (ValueError, OSError, CorruptedFile) as error:  # the ladder itself is complete
        console.print(f"the runs are not compared: {in_words(error)}", markup=False)
        return
    console.print(f"\n{finding.title}\n", markup=False)
    for sentence in finding.sentences:
        console.print(f"  {sentence}", markup=False)
    if finding.figure:
        numbers = near(folder / finding.name)
        console.print(f"\nfigure and numbers are {numbers}.*", markup=False)


def without_common_training(players: Sequence[Player]) -> str:
    """Says so if the versions of two runs share no training FLOPs at which to compare them."""
    spent: dict[str, list[float]] = {}
    for one in players:
        if one.digest and one.training_flops > 0:
            run = specs.split_stored(one.spec)[0].rpartition("@")[0]
            spent.setdefault(run, []).append(math.log10(one.training_flops))
    if len(spent) != 2:
        return ""
    (a, of_a), (b, of_b) = sorted(spent.items(), key=lambda item: max(item[1]))
    if max(of_a) + TOLERANCE >= min(of_b):
        return ""
    return (
        f"{a} ends at 10^{max(of_a):.2f} FLOPs of training, and {b} begins at 10^{min(of_b):.2f}: "
        "they can be rated, and not compared at equal training"
    )


def rate(options: Options, console: Console) -> bool:
    """Loads the players, plays, and writes table, CSV and plot; returns False if it was stopped."""
    game_name = named_game(options)
    game = games.make(game_name)
    if options.sgf and game.name != "go":
        raise ValueError(f"--sgf: games of {game.name} have no SGF that programs read")
    for name in ("until_stderr", "max_games", "workers", "versions", "timeout_s"):
        if not getattr(options, name) > 0:
            text = name.replace("_", "-")
            raise ValueError(f"--{text} must be above 0, got {getattr(options, name)}")
    starts = openings.read(options.openings, game) if options.openings else None
    run = split_version(options.runs[0])[0] if options.runs else ""
    inside = len(options.runs) == 1 and Path(run).is_dir()
    folder = options.out or (Path(run) / "ladder" if inside else Path("ladders") / game.name)
    anchor = options.anchor or resolve_anchor(AUTO, game, folder / database.FILE)
    players, anchor = gather(replace(options, anchor=anchor), game)
    title = f"{game_name}, {rating_plot.labels([anchor])[anchor]} at 0 Elo"
    said = f"{len(players)} players of {game_name}, anchored at {anchor}, in {near(folder)}"
    console.print(said, markup=False)
    if apart := without_common_training(players):
        console.print(apart, markup=False)
    ladder = Ladder(folder / database.FILE, game, game_name, players, anchor, options.how, starts)
    finished = True
    with ladder:
        if not ladder.games_left(options.max_games):
            console.print(
                f"{near(folder)} holds as many games as --max-games {options.max_games:,} allows: "
                "none is played. Raise it, or give these players a ladder of their own with --out",
                markup=False,
            )
        with Watcher(title, console, options.plain) as watcher:
            watcher.catch()
            try:
                ladder.run_until(
                    options.until_stderr,
                    options.max_games,
                    options.workers,
                    options.timeout_s,
                    watcher.played,
                    watcher.round,
                    partial(console.print, markup=False),
                )
            except KeyboardInterrupt:
                finished = False
                console.print(STOPPED)
        standing = ladder.state()
        if standing.rounds:
            write(folder, title, game, ladder, standing, options)
            console.print(tables.table(standing, title, console.width))
            console.print(f"table, CSV and plot are in {near(folder)}", markup=False)
            compare(folder, game_name, options.runs, standing, console)
    console.print(watcher.summary)
    if standing.rounds and any(one.digest for one in players) and USER_FOLDER not in os.environ:
        target = run if inside else folder
        console.print(f"report: {command('report', near(target))}", markup=False, soft_wrap=True)
    return finished


def main() -> None:
    """Rates players; Ctrl-C and SIGTERM end it with the table of the rounds so far."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    options = tyro.cli(Options, prog="launch/ladder.py", description=cli.laid_out(__doc__))
    console = cli.console()
    try:
        finished = rate(options, console)
    except KeyboardInterrupt:  # while players are loaded, or while the table is written
        finished = False
        console.print(STOPPED)
    if not finished:
        raise SystemExit(130)


if __name__ == "__main__":
    cli.guarded(main)
