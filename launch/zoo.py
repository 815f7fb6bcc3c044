"""List the networks that come with the package, with their cards.

python launch/zoo.py list
python launch/zoo.py show connect_four
python launch/play.py terminal zoo:connect_four           # a network of the zoo is a version
"""

from __future__ import annotations

import sys
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

if __name__ == "__main__":  # a checkout need not be installed
    sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from launch import cli

if TYPE_CHECKING:
    from selfplay.players.version import Version
    from selfplay.zoo.cards import Score

BUDGETS = (0, 8, 64, 256)  # at which `add` grades


@dataclass(frozen=True)
class List(cli.Trust):
    """List all networks."""


@dataclass(frozen=True)
class Show(cli.Trust):
    """Print the card of a network."""

    name: Annotated[str, cli.Positional]
    """The network: connect_four, or zoo:connect_four."""


@dataclass(frozen=True)
class Add(cli.Trust):
    """Put a version into the zoo of this checkout; for those who maintain it."""

    version: Annotated[str, cli.Positional]
    """RUN@VERSION, RUN@last or RUN@best."""
    name: Annotated[str, cli.Positional]
    """Its name in the zoo."""
    title: str
    """A line for people: "Connect Four, ten minutes on two cores"."""
    commands: tuple[str, ...]
    """The commands that make the network again."""
    grade: bool = False
    """Grade it by the game's exam at 0, 8, 64 and 256 simulations."""
    elo: tuple[str, ...] = field(default_factory=tuple)
    """Ratings, SIMS=ELO:STDERR each."""
    anchor: str = ""
    """The player at 0 Elo."""
    ladder: str = ""
    """Where the ladder is that rated it."""
    sources: tuple[str, ...] = field(default_factory=tuple)
    """Where the games come from that it imitated."""
    license: str = ""
    """Under which terms those games may be used."""


def main() -> None:
    """Lists, shows or adds networks."""
    options: List | Show | Add = cli.parse(List | Show | Add, "zoo", __doc__)
    if isinstance(options, List):
        list_networks()
    elif isinstance(options, Show):
        show(options.name)
    else:
        add(options)


def list_networks() -> None:
    """Prints a table of the zoo."""
    from rich.console import Console
    from rich.table import Table

    from selfplay.players.version import Version
    from selfplay.style.powers_of_ten import power
    from selfplay.zoo import cards

    table = Table(box=None, pad_edge=False)
    for head in ("network", "what it is", "parameters", "training FLOPs", "strength"):
        table.add_column(head)
    for name in cards.names():
        card, version = cards.card(name), Version.load(cards.PREFIX + name)
        cost = power(version.ledger.ooms, 1) if version.ledger else "?"
        size = f"{version.num_parameters:,}"
        table.add_row(cards.PREFIX + name, card.title, size, cost, card.strength)
    Console(soft_wrap=True).print(table)


def show(name: str) -> None:
    """Prints the card of a network."""
    from selfplay.players.version import Version
    from selfplay.zoo import cards

    name = name.removeprefix(cards.PREFIX)
    card = cards.card(name)
    lines = [
        *(card.title, str(Version.load(cards.PREFIX + name))),
        *(f"made by: {command}" for command in card.commands),
        f"commit {card.commit}, seed {card.seed}, SHA-256 {card.sha256}",
        f"fingerprints of self-play {card.fingerprint[:12]}…, of learning "
        f"{card.learner_fingerprint[:12]}…",
        card.strength,
    ]
    if card.data:
        lines += [f"imitates: {source}" for source in card.data.sources]
        lines.append(f"license of the games: {card.data.license}; archive {card.data.digest}")
    print("\n".join(lines))


def add(options: Add) -> None:
    """Exports a version into the zoo, and writes its card."""
    from selfplay.players.version import Version
    from selfplay.runs import manifest
    from selfplay.runs.commits import Commits
    from selfplay.runs.window import ReplayConfig
    from selfplay.study.grid import is_name
    from selfplay.zoo import cards
    from selfplay.zoo.cards import Card, Data, Score

    if not is_name(options.name):
        raise ValueError(f"{options.name!r} cannot be a name: choose letters, digits, - and _")
    elo = {budget: Score(*score) for budget, score in map(_rating, options.elo)}
    if bool(elo) != bool(options.anchor):
        raise ValueError("--elo needs --anchor, the player at 0 Elo, and the other way round")
    if options.license and not options.sources:
        raise ValueError("--license needs --sources, the games that it is about")
    version = Version.load(options.version)
    folder = Path(version.name.rpartition("@")[0])
    code = {(each["git"]["commit"], each["git"]["dirty"]) for each in manifest.sessions(folder)}
    if len(code) != 1 or any(dirty for _, dirty in code):
        raise ValueError(
            f"{folder} was not trained by one commit without changes; nobody could repeat it"
        )
    (commit, _) = code.pop()
    data, identity = None, Commits(folder, ReplayConfig()).identity()
    if options.sources:
        data = Data(options.sources, options.license, identity.dataset)
    exam = graded(version) if options.grade else {}
    card = Card(
        title=options.title,
        commands=options.commands,
        commit=commit,
        seed=version.config["seed"],
        sha256="",
        fingerprint=identity.fingerprint or "",
        learner_fingerprint=identity.learner_fingerprint or "",
        exam=exam,
        elo=elo,
        anchor=options.anchor,
        ladder=options.ladder,
        data=data,
    )
    # Without the name of the run's folder: whoever repeats the run gets the same bytes.
    zoo_version = replace(version, name=f"{cards.PREFIX}{options.name}")
    zoo_version.export(cards.FOLDER / f"{options.name}{cards.NETWORK}")
    cards.add(options.name, card)
    show(options.name)


def graded(version: Version) -> dict[int, Score]:
    """Grades a version by its game's exam, at the budgets of a card."""
    from selfplay.solved import exam as exams
    from selfplay.solved import suite
    from selfplay.zoo.cards import Score

    positions, scores = suite.load(version.config["game"]), dict[int, Score]()
    for budget in BUDGETS:
        result = exams.evaluate(version.game, positions, version.search_fn(budget), version.params)
        kept = result.result.kept
        scores[budget] = Score(round(kept.value, 4), round(kept.error, 4))
    return scores


def _rating(text: str) -> tuple[int, tuple[float, float]]:
    """Reads SIMS=ELO:STDERR."""
    budget, _, score = text.partition("=")
    elo, _, stderr = score.partition(":")
    try:
        return int(budget), (float(elo), float(stderr))
    except ValueError:
        raise ValueError(f"--elo {text!r} is not SIMS=ELO:STDERR, as in 64=120:35") from None


if __name__ == "__main__":
    cli.run_command(main)
