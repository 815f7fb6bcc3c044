"""Rates players on one ladder: the work of launch/ladder.py."""

from __future__ import annotations

import math
import os
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

from rich.console import Console

import games
from games import plugins
from games.game import Game
from launch.ladder_options import Options
from launch.ladder_progress import Watcher
from selfplay.command_line import USER_FOLDER, command, near
from selfplay.imitation import imitate
from selfplay.ladder import database, game_table, openings, rating_plot, tables
from selfplay.ladder.anchor import default_anchor, make_anchor, recorded_anchor
from selfplay.ladder.ladder import Ladder, LadderState
from selfplay.players import specs
from selfplay.players.specs import GTP, Player
from selfplay.players.version import SUFFIX, Version, split_version
from selfplay.runs.files import CorruptedFile, in_words, write_bytes
from selfplay.runs.run import check_distinct, read_config
from selfplay.runs.snapshots import snapshot_versions
from selfplay.scaling.at_training import TOLERANCE
from selfplay.search.config import SearchConfig
from selfplay.style.powers_of_ten import power


def rate(options: Options, console: Console) -> bool:
    """Loads the players, plays, and writes table, CSV and plot; returns False if it was stopped."""
    game_name = name_of_game(options)
    game = games.make(game_name)
    if options.sgf and game.name != "go":
        raise ValueError(f"--sgf: games of {game.name} have no SGF that programs read")
    options.check()
    starts = openings.read(options.openings, game) if options.openings else None
    run = split_version(options.runs[0])[0] if options.runs else ""
    inside = not options.out and len(options.runs) == 1 and Path(run).is_dir()  # of one run
    folder = options.out or (Path(run) / "ladder" if inside else Path("ladders") / game.name)
    recorded = recorded_anchor(folder / database.FILE)
    if recorded and not options.anchor:
        check_anchor(recorded, options, game)
    players, anchor = gather(replace(options, anchor=options.anchor or recorded), game)
    title = f"{game_name}, {rating_plot.labels([anchor])[anchor]} at 0 Elo"
    text = f"{len(players)} players of {game_name}, anchored at {anchor}, in {near(folder)}"
    console.print(text, markup=False)
    if recorded not in (None, anchor):
        console.print(f"0 Elo is {anchor} here; this ladder began with {recorded}", markup=False)
    if warning := without_common_training(players):
        console.print(warning, markup=False)
    ladder = Ladder(
        folder / database.FILE, game, game_name, players, anchor, options.comparison, starts
    )
    with ladder:
        if not ladder.games_left(options.max_games):
            console.print(
                f"{near(folder)} holds as many games as --max-games {options.max_games:,} allows: "
                "none is played. Raise it, or give these players a ladder of their own with --out",
                markup=False,
            )
        with Watcher(title, console, options.plain) as watcher:
            finished = play(ladder, watcher, options, console)
        state = ladder.state()
        if state.rounds:
            write(folder, title, game, ladder, state, options)
            console.print(tables.table(state, title, console.width))
            console.print(f"table, CSV and plot are in {near(folder)}", markup=False)
            compare(folder, game_name, options.runs, state, console)
    console.print(watcher.summary)
    has_versions = any(player.digest for player in players)
    if state.rounds and has_versions and USER_FOLDER not in os.environ:
        trust = ("--trust-imports",) if options.trust_imports else ()
        report = command("report", near(run if inside else folder), *trust)
        console.print(f"report: {report}", markup=False, soft_wrap=True)
    return finished


def play(ladder: Ladder, watcher: Watcher, options: Options, console: Console) -> bool:
    """Plays until the ratings are precise enough; returns False if Ctrl-C or SIGTERM stopped it."""
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
        return False
    return True


def name_of_game(options: Options) -> str:
    """Returns the game that is played, by --game or by the first run, as the registry reads it.

    Raises:
        ValueError: no game is named, or the run's is an import path that is not trusted.
    """
    if options.game:
        return options.game
    if not options.runs:
        raise ValueError("which game? name a run, or a game as in --game connect_four")
    first = options.runs[0]
    if first.endswith(SUFFIX):
        return Version.load(first).config["game"]
    return game_of(split_version(first)[0])[0]


def game_of(run: str) -> tuple[str, Game]:
    """Returns the game of a run, as the registry reads it and made.

    Raises:
        ValueError: the folder is not a run, or its game is an import path that is not trusted.
    """
    name = read_config(run)["game"]
    with plugins.stored_in(run):
        return name, games.make(name)


def check_anchor(recorded: str, options: Options, game: Game) -> None:
    """Checks that the player with which a ladder began can play here.

    Raises:
        ValueError: it cannot be loaded, or is an engine that the user does not name: a ladder may
            come from somebody else, and no command in it is run.
    """
    if recorded.startswith(GTP):
        if recorded not in (
            *options.players,
            *(GTP + engine.strip() for engine in options.engines),
        ):
            raise ValueError(
                f"this ladder began with the engine {recorded} at 0 Elo: to run its command, "
                "name it with --anchor"
            )
        return
    try:
        specs.parse(recorded, game)
    except ValueError as error:
        raise ValueError(
            f"this ladder began with {recorded} at 0 Elo, which cannot play here: {error}; "
            "--anchor chooses another"
        ) from None


def gather(options: Options, game: Game) -> tuple[list[Player], str]:
    """Loads the players, weakest kinds first; returns them and the anchor's spec."""
    for budget in options.sims:  # a bad search or budget is an error before any work
        SearchConfig(options.search or SearchConfig.algorithm, budget)
    anchor = make_anchor(options.anchor or default_anchor(game), game)
    players: dict[str, Player] = {}

    def enter(spec: str) -> None:
        player = specs.parse(spec, game)
        if players.setdefault(player.spec, player).digest != player.digest:
            raise ValueError(
                f"two files hold different parameters, and both call them {player.spec}"
            )

    for spec in (*options.players, *(GTP + engine for engine in options.engines)):
        enter(spec)
    check_distinct(run for run in options.runs if not split_version(run)[1])
    for run in options.runs:
        whole = not run.endswith(SUFFIX) and not split_version(run)[1]
        names = versions_of(run, game, options.versions) if whole else [run]
        for budget in options.sims:
            search = {"search": options.search} if options.search else {}
            for name in names:
                enter(specs.join_options(name, {"sims": budget, **search}))
    everyone = {anchor.spec: anchor, **players}
    if len(everyone) < 2:
        raise ValueError("a ladder takes two players; name a run, or --players")
    return list(everyone.values()), anchor.spec


def versions_of(run: str, game: Game, count: int) -> list[str]:
    """Returns the versions of a run that are rated: at most `count`, as "runs/a@40".

    Raises:
        ValueError: the run plays another game, or has no version yet.
    """
    run_game, made = game_of(run)
    if made != game:
        raise ValueError(
            f"{run} plays {run_game}, and this ladder is of {game!r}: runs of different games "
            "cannot be compared; rate those of one game"
        )
    first = 0 if Path(run, imitate.FOLDER).is_dir() else 1  # version 0 has learned by imitation
    versions = [version for version in snapshot_versions(Path(run)) if version >= first]
    if not versions:
        raise ValueError(f"{run} has no version yet: let it train for an iteration")
    return [f"{run}@{version}" for version in log_spaced(versions, count)]


def log_spaced(versions: list[int], count: int) -> list[int]:
    """Returns `count` of these versions, evenly spaced in log(1 + version), both ends included."""
    if count >= len(versions):
        return versions
    if count == 1:
        return versions[-1:]
    low, high = (float(v + 1) for v in (versions[0], versions[-1]))
    wanted = [low * (high / low) ** (i / (count - 1)) - 1 for i in range(count)]
    chosen = {min(versions, key=lambda v: abs(v - w)) for w in wanted}
    return sorted(chosen)


def without_common_training(players: Sequence[Player]) -> str:
    """Returns a warning if the versions of two runs share no training FLOPs at which to compare."""
    spent: dict[str, list[float]] = {}
    for player in players:
        if player.digest and player.training_flops > 0:
            run = specs.split_stored(player.spec)[0].rpartition("@")[0]
            spent.setdefault(run, []).append(math.log10(player.training_flops))
    if len(spent) != 2:
        return ""
    (a, flops_of_a), (b, flops_of_b) = sorted(spent.items(), key=lambda item: max(item[1]))
    if max(flops_of_a) + TOLERANCE >= min(flops_of_b):
        return ""
    return (
        f"{a} ends at {power(max(flops_of_a))} FLOPs of training, and {b} begins at "
        f"{power(min(flops_of_b))}: they can be rated, but not compared at equal training"
    )


def write(
    folder: Path, title: str, game: Game, ladder: Ladder, state: LadderState, options: Options
) -> None:
    """Writes ratings, plot, the table of games, and games as SGF on request."""
    write_games(folder, ladder)
    write_ratings(folder, title, state)
    if options.sgf:
        recorded = ladder.database.games()
        write_bytes(folder / "games.sgf", tables.to_sgf(game, state.entries, recorded))


def write_games(folder: Path, ladder: Ladder) -> None:
    """Writes the table of a ladder's games, from which it can be rated again."""
    file = folder / database.FILE
    settings, anchor = database.settings(file), database.anchor(file)
    table = game_table.of_database(ladder.database, settings, anchor)
    game_table.write(table, folder / game_table.FOLDER)


def write_ratings(folder: Path, title: str, state: LadderState) -> None:
    """Writes the ratings as CSV and Markdown, and their plot."""
    write_bytes(folder / "ladder.csv", tables.to_csv(state).encode())
    write_bytes(folder / "ladder.md", tables.to_markdown(state).encode())
    write_bytes(folder / "ladder.png", rating_plot.to_png(state, title))


def compare(
    folder: Path, game_name: str, named: Sequence[str], state: LadderState, console: Console
) -> None:
    """Prints and draws which run is ahead at equal training, if versions of several are rated.

    If `named` has several runs, only those are compared, even if the ladder has rated others.
    """
    from selfplay.report import page, rated_runs  # Matplotlib, which most ladders do not need
    from selfplay.scaling import from_ladder

    folders = {Path(split_version(run)[0]) for run in named if not run.endswith(SUFFIX)}
    try:
        runs = rated_runs.RatedRuns.of(folder / database.FILE, game_name, state.entries)
        if len(folders) > 1:
            runs = runs.only(folders)
        if len(runs.labels) < 2:
            return
        without = set(tables.unrated(state))
        rated = {from_ladder.run_of(entry) for entry in state.entries if entry.spec not in without}
        if unrated := sorted(runs.labels.keys() - rated):
            console.print(f"not compared, for want of games: {', '.join(unrated)}", markup=False)
        if len(runs.labels) - len(unrated) < 2:
            return
        finding = rated_runs.compare(state, runs.points(state))
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
