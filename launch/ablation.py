"""Plans, trains and rates a study: the work of launch/ablate.py."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from dataclasses import replace

from rich.console import Console

import games
from games import plugins
from launch import cli
from launch.plan import Plan, Planned, Watch, waiting
from selfplay.cluster.config import ClusterConfig
from selfplay.command_line import LAUNCH, near
from selfplay.ladder import database
from selfplay.ladder.anchor import resolve_study_anchor
from selfplay.runs.files import in_words
from selfplay.study import forecast, jobs
from selfplay.study.folder import Study
from selfplay.study.forecast import Estimator, LadderSize, TimingFailed
from selfplay.study.grid import RatingConfig, RunSpec
from selfplay.study.timing import StartCost, TimingRequest
from selfplay.training.config import TrainConfig

IN_PROCESS = ("--cluster.actors", "0")  # for a job that has one core
INTERRUPTED = 130  # exit status

Runs = Sequence[tuple[RunSpec, TrainConfig]]
"""The runs of a study, each with its config."""


def make_plan(
    study: Study,
    runs: Runs,
    rating: RatingConfig | None,
    max_jobs: int,
    address: str | None,
    console: Console,
) -> Plan:
    """Estimates what each run will cost, from runs that have begun and from a short timing.

    Args:
        study: the study's folder.
        runs: all its runs.
        rating: how their versions are rated; None: not at all.
        max_jobs: runs at a time, at most.
        address: the Ray cluster that trains them; None: this machine.
        console: where to print what is being waited for.
    """
    anchors = resolve_anchors(study, runs, rating)
    flops = {config: forecast.ledger(config).total for config in recipes_of(runs)}
    sizes = ladder_sizes(study, runs, rating)
    try:
        estimator, failure = (
            time_recipes(study, runs, sizes, rating, anchors, max_jobs, console),
            "",
        )
    except (TimingFailed, OSError) as error:
        estimator, failure = None, in_words(error)
    todo = sum(study.last_iteration(spec) < config.iterations for spec, config in runs)
    slots = max(1, min(max_jobs, todo))
    ray = starts_ray(address, slots)
    cores = 1 if address else max(1, cli.cores() // slots)
    planned, measured = [], dict[str, float | None]()
    for spec, config in runs:
        if spec.label not in measured:
            measured[spec.label] = study.iteration_seconds(spec.label)
        left, seconds = StartCost(), measured[spec.label]
        whole = None if seconds is None else seconds * config.iterations
        if estimator:
            actors = ray and config.cluster.actors != 0
            left = estimator.run(config, study.last_iteration(spec), seconds, cores, actors)
            whole = estimator.run(config, -1, seconds, cores, actors).seconds
        finished = study.last_iteration(spec) >= config.iterations
        planned.append(Planned(spec, config, flops[forecast.recipe(config)], whole, left, finished))
    ladders = [
        (size, estimator.ladder([c for _, c in runs if c.game == game], size, cli.cores()))
        for game, size in sizes.items()
        if estimator
    ]
    return Plan(tuple(planned), slots, tuple(ladders), failure, bool(address))


def starts_ray(address: str | None, slots: int) -> bool:
    """Tells whether each run has cores of this machine for actors of its own."""
    return not address and slots < cli.cores()


def recipes_of(runs: Runs) -> list[TrainConfig]:
    """Returns the configs without their seeds, each once."""
    return list(dict.fromkeys(forecast.recipe(config) for _, config in runs))


def ladder_sizes(study: Study, runs: Runs, rating: RatingConfig | None) -> dict[str, LadderSize]:
    """Returns how much each game's ladder still has to play; {} if nothing is rated."""
    sizes = dict[str, LadderSize]()
    if rating is None:
        return sizes
    for game in dict.fromkeys(config.game for _, config in runs):
        configs = [config for _, config in runs if config.game == game]
        rated = sum(forecast.count_rated_versions(config, rating.versions) for config in configs)
        players = 1 + len(rating.players) + rated * len(rating.sims)
        size = LadderSize.of(players, rating.sims, rating.until_stderr, rating.max_games)
        sizes[game] = replace(size, games=max(0, size.games - study.games_played(game)))
    return sizes


def resolve_anchors(study: Study, runs: Runs, rating: RatingConfig | None) -> dict[str, str]:
    """Returns the anchor of each game's ladder; {} if nothing is rated.

    Raises:
        ValueError: an anchor cannot play here: a study that cannot be rated is not trained.
    """
    if rating is None:
        return {}
    return {
        game: resolve_study_anchor(
            rating.anchor, games.make(game), study.ladder_folder(game) / database.FILE
        )
        for game in dict.fromkeys(config.game for _, config in runs)
    }


def time_recipes(
    study: Study,
    runs: Runs,
    sizes: Mapping[str, LadderSize],
    rating: RatingConfig | None,
    anchors: Mapping[str, str],
    max_jobs: int,
    console: Console,
) -> Estimator | None:
    """Times some recipes; returns None if nothing is left that takes time."""
    todo = any(study.last_iteration(spec) < config.iterations for spec, config in runs)
    if not todo and not any(size.games for size in sizes.values()):
        return None
    requests, anchored = [], set[str]()
    for config in forecast.recipes_to_time(recipes_of(runs)):
        game, anchor = config.game, ""
        if rating and game not in anchored:  # a solver's tables take time: once a game
            anchor = anchors[game]
            anchored.add(game)
        request = TimingRequest(config)
        if rating:
            request = replace(
                request,
                budgets=rating.sims,
                anchor=anchor,
                opening_plies=rating.opening_plies,
            )
        requests.append(request)
    with waiting("timing a little of the cheapest and the most expensive runs", console):
        return forecast.time_recipes(requests, min(max_jobs, cli.cores()), LAUNCH / "timing.py")


def train(
    study: Study,
    plan: Plan,
    retries: int,
    track: Sequence[str],
    address: str | None,
    console: Console,
) -> list[str]:
    """Trains the runs that are not finished; returns the names of those that failed."""
    watch = Watch(study, plan, console)
    if not watch.todo:
        return []
    actors = () if starts_ray(address, plan.slots) else IN_PROCESS
    queue = []
    for run in watch.todo:
        out = str(study.run_folder(run.cell).absolute())
        flags = (*run.cell.flags, "--out", out, "--plain", "--track", *track, *actors)
        command = (sys.executable, str(LAUNCH / "train.py"), run.cell.preset, *flags)
        log = study.log_file(run.cell).absolute()
        queue.append(jobs.Job(run.cell.name, command, log, plugins.environment()))
    console.print(f"the output of the runs is in {near(study.folder / 'logs')}", markup=False)
    failed = []
    cluster = ClusterConfig(address=address)
    with watch:
        for end in jobs.run(queue, plan.slots, retries, cluster, watch.started):
            watch.ended(end)
            failed += [end.name] if end.status else []
    return failed


def rate(study: Study, rating: RatingConfig) -> bool:
    """Rates the versions of all runs, on a ladder for every game; False if a ladder failed."""
    succeeded = True
    for game, specs in study.runs_to_rate().items():
        # The ladder trusts its command line, so check the run's game here.
        with plugins.stored_in(study.run_folder(specs[0])):
            games.make(game)
        # Names on the ladder are relative to the study's folder, which may be moved.
        runs = [str(study.run_folder(spec).relative_to(study.folder)) for spec in specs]
        out = ("--game", game, "--out", str(study.ladder_folder(game).relative_to(study.folder)))
        script = str(LAUNCH / "ladder.py")
        command = [sys.executable, script, *runs, *rating.flags(), *out]
        # If it is interrupted, it ends the matches in play.
        status = jobs.run_foreground(command, study.folder, plugins.environment())
        if status == INTERRUPTED:  # a signal to the ladder alone
            raise KeyboardInterrupt
        succeeded &= status == 0
    return succeeded
