"""Changes of code that a run depends on and whose bits no fingerprint covers.

Each session of a manifest records the version of the game's rules and the modules of the user that
the run imported:

    "rules": {"name": "go", "version": 1}
    "imports": [{"path": "my_game:MyGame", "version": "", "digest": "0f3a…"}]
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from games import plugins
from games.game import Game
from selfplay.runs import manifest
from selfplay.runs.codec import Json, JsonObject
from selfplay.runs.files import CorruptedFile


class CodeChanged(ValueError):
    """A run is resumed with other code than it was last played with."""


def describe(config: Json, game: Game) -> JsonObject:
    """Returns what a session records: the game's rules, and the modules of the user.

    Call it when the run's game, network, search and learner are built, and so imported.

    Args:
        config: the run's config as JSON values; only modules that it names are recorded.
        game: its game.
    """
    imports: list[JsonObject] = [
        {"path": source.path, "version": source.version, "digest": source.digest}
        for source in plugins.followed({*_names(config)})
    ]
    rules = {"name": game.name, "version": game.version}
    return {"rules": rules, "imports": imports}


def has_imports(config: Json) -> bool:
    """Tells whether a config, as JSON values, names an import path."""
    return any(map(plugins.is_import_path, _names(config)))


def _names(value: Json) -> Iterator[str]:
    """Yields the texts in a JSON value, without the options behind them."""
    if isinstance(value, str):
        yield value.partition("?")[0]
    elif isinstance(value, (list, dict)):
        for item in value.values() if isinstance(value, dict) else value:
            yield from _names(item)


def check(folder: Path, code: Mapping[str, Json], accept: bool) -> list[str]:
    """Compares the code of a run's last session with that of this process.

    Args:
        folder: the run's folder.
        code: of this process, see `describe`; {} compares nothing.
        accept: return the changes instead of raising an error.

    Returns:
        What has changed, one sentence for each module.

    Raises:
        CodeChanged: something has changed, and `accept` is False.
        CorruptedFile: the manifest is damaged.
    """
    changed = changes(folder, code, manifest.sessions(folder)[-1:])
    if changed and not accept:
        raise CodeChanged(
            f"{folder} was last played with other code: {'; '.join(changed)}. Restore it, or "
            "accept the change with --accept-code-change (in Python: accept_code_change=True)"
        )
    return changed


def changes(
    folder: Path, code: Mapping[str, Json], sessions: Sequence[Mapping[str, Json]]
) -> list[str]:
    """Returns a sentence for each part of the code that differs from that of any session.

    Parts that only one side has are not compared; sessions of older programs have none.

    Raises:
        CorruptedFile: a session of the manifest is damaged.
    """
    try:
        return list(dict.fromkeys(text for session in sessions for text in _changes(session, code)))
    except (AttributeError, KeyError, TypeError) as error:
        raise CorruptedFile(folder / manifest.FILE, f"its record of the code: {error!r}") from error


def _changes(before: Mapping[str, Json], code: Mapping[str, Json]) -> list[str]:
    rules, recorded = code.get("rules", {}), before.get("rules", {})
    texts = []
    if recorded.get("name") == rules.get("name") and recorded != rules:
        texts.append(
            f"the rules of {rules['name']} were version {recorded['version']!r}, and are version "
            f"{rules['version']!r} now"
        )
    digests = {entry["path"]: entry["digest"] for entry in before.get("imports", ())}
    for entry in code.get("imports", ()):
        path, digest = entry["path"], entry["digest"]
        if (old := digests.get(path, digest)) != digest:
            texts.append(f"the source of {path} had the digest {old[:12]!r}, and has {digest[:12]}")
    return texts
