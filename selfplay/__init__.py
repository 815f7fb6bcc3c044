"""The public names: train a run, play with its versions, rate them, prove its bits.

They are imported when they are first used, so that ``import selfplay`` starts no JAX and a program
can call ``selfplay.determinism.pin()`` first. ``configs.get("connect_four")`` gives a preset's
`TrainConfig`, ``games.make("hex?size=5")`` a game.

Names:
    train: trains a run in a folder, or resumes it.
    verify: recomputes iterations of a run and compares their digests with the recorded ones.
    TrainConfig: every choice of a run; `NetworkConfig` and `SearchConfig` are two of its sections.
    Run: a run's folder, as `train` returns it.
    read_config: the config in a run's folder, as a dictionary.
    Version: a trained player: evaluates positions, searches, exports itself to one file.
    Player: who plays on a ladder: a version with a budget, an engine, a solver, random moves.
    Ladder: games between players and the Elo ratings that follow from them.
    LadderConfig: how players are compared on a ladder.
    LadderState: the ratings after a ladder's whole rounds, with their covariance.
    ExpertArchive: expert games on disk, with rows to imitate.
    trust_imports: lets this process import a game or network that a run's folder names.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from games.plugins import trust_imports
    from selfplay.experts.archive import ExpertArchive
    from selfplay.ladder.config import LadderConfig
    from selfplay.ladder.ladder import Ladder, LadderState
    from selfplay.model.config import NetworkConfig
    from selfplay.players.specs import Player
    from selfplay.players.version import Version
    from selfplay.runs.run import Run, read_config
    from selfplay.search.config import SearchConfig
    from selfplay.training.config import TrainConfig
    from selfplay.training.loop import train
    from selfplay.training.verify import verify

_MODULES = {
    "ExpertArchive": "selfplay.experts.archive",
    "Ladder": "selfplay.ladder.ladder",
    "LadderConfig": "selfplay.ladder.config",
    "LadderState": "selfplay.ladder.ladder",
    "NetworkConfig": "selfplay.model.config",
    "Player": "selfplay.players.specs",
    "Run": "selfplay.runs.run",
    "SearchConfig": "selfplay.search.config",
    "TrainConfig": "selfplay.training.config",
    "Version": "selfplay.players.version",
    "read_config": "selfplay.runs.run",
    "train": "selfplay.training.loop",
    "trust_imports": "games.plugins",
    "verify": "selfplay.training.verify",
}

__all__ = [
    "ExpertArchive",
    "Ladder",
    "LadderConfig",
    "LadderState",
    "NetworkConfig",
    "Player",
    "Run",
    "SearchConfig",
    "TrainConfig",
    "Version",
    "read_config",
    "train",
    "trust_imports",
    "verify",
]


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(_MODULES[name]), name)
    globals()[name] = value  # the next use finds it without this function
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
