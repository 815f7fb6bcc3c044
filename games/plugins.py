"""Names and import paths of what users may add: games, networks, searches, losses, trackers.

    go?size=9                           a built-in name, or one that an installed package registers
    my_package.my_game:MyGame?size=5    an import path, MODULE:NAME

Options follow the "?". A package registers names by entry points, in the group of the kind, such as
``oomzero.games``; docs/guide/extend.md lists all.

Following an import path runs the module's code. So a path is followed only if this process trusts
it: because a person typed it (the commands call `trust` with what was typed), or allowed it
(``--trust-imports``, `trust_all`). A path that comes from a file alone is refused, and nothing is
imported. Trust is a property of the process; a new one trusts nothing.
"""

from __future__ import annotations

import contextlib
import importlib.util
import inspect
import json
import os
import re
import sys
from collections.abc import Callable, Container, Iterable, Iterator, Mapping
from functools import cache
from importlib.metadata import EntryPoint, distributions
from typing import Any, NamedTuple, TypeVar, get_type_hints

from games import source_digest
from games.options import check_known, check_unique, parse_options
from games.source_digest import Source
from games.spelling import did_you_mean

USER_FOLDER = "OOMZERO_USER_FOLDER"
"""Environment variable: the user's directory, for a command that is started in another one."""

TRUSTED = "OOMZERO_TRUSTED"
"""Environment variable: import paths that a command trusts, "*" for all; see `environment`."""

T = TypeVar("T")

_PATH = re.compile(r"(?!(?:pgx|gtp):)[^\W\d]\w*(?:\.[^\W\d]\w*)*:[^\W\d]\w*")
_TYPED = re.compile(rf"(?:^|[=,]|\s)({_PATH.pattern})(?=[?,&\s]|%3[Ff]|$)")


class Kind(NamedTuple):
    """A kind of thing that a spec can name."""

    noun: str  # as messages say it: "game"
    group: str  # of entry points: "oomzero.games"
    builtin: tuple[str, ...]  # names that need no entry point
    more: str = ""  # further choices, for the message about an unknown name
    suggest: Callable[[str], str] | None = None  # unknown name → " (did you mean …?)" or ""


class NotTrusted(ValueError):
    """An import path that this process does not follow."""

    def __init__(self, noun: str, path: str, where: str = "") -> None:
        """Stores what the path should be ("game"), and the folder or file that contains it."""
        super().__init__(noun, path, where)
        self.noun, self.path, self.where = noun, path, where

    def __str__(self) -> str:
        """Returns a sentence that says how to allow the path."""
        start = f"{self.where}: the " if self.where else ""
        return (
            f"{start}{self.noun} {self.path!r} is an import path that nobody typed on this command "
            "line, so it is not imported; if you trust this code, add --trust-imports (in Python: "
            f"selfplay.trust_imports({self.path!r}))"
        )


class _Trust:
    """What this process trusts, and what it has imported."""

    paths: set[str] = set()  # noqa: RUF012
    everything = False
    folders: set[str] = set()  # noqa: RUF012 that `_search_in` added to the path
    followed: dict[str, Source] = {}  # noqa: RUF012 by name or import path


def is_import_path(name: str) -> bool:
    """Tells whether a spec without its options is written as an import path, MODULE:NAME.

    "pgx:othello" and "gtp:gnugo" are not: these prefixes have a meaning of their own.
    """
    return _PATH.fullmatch(name) is not None


def trust(paths: Iterable[str]) -> None:
    """Lets this process follow import paths, which a person typed; options behind them are ignored.

    A module that is not installed is looked for in the working directory as well.
    """
    _Trust.paths |= {path.partition("?")[0] for path in paths}


def trust_imports(*paths: str) -> None:
    """Lets this process import games, networks and other parts that folders and files name.

    Importing runs the code of the named module, so name only paths whose code you trust. A command
    trusts the paths that were typed on its command line; a Python program trusts none until it
    calls this function. Options behind a path are ignored.

    Args:
        *paths: import paths, MODULE:NAME, as in "my_package.my_game:MyGame".

    Raises:
        ValueError: a text is not an import path.
    """
    for path in paths:
        if not is_import_path(path.partition("?")[0]):
            raise ValueError(f"{path!r} is not an import path; write MODULE:NAME")
    trust(paths)


def trust_all() -> None:
    """Lets this process follow every import path, also those that folders and files contain."""
    _Trust.everything = True


def trust_sources(sources: Iterable[Source]) -> None:
    """Lets this process follow the import paths that another process of the same run followed."""
    for source in sources:
        trust([source.path])
        _search_in(source.folder, source.path.partition(":")[0])


def environment() -> dict[str, str]:
    """Returns variables with which a command that this process starts trusts what it trusts.

    The command looks for modules in the same directory of the user, see `USER_FOLDER`.
    """
    paths = "*" if _Trust.everything else " ".join(sorted(_Trust.paths))
    return {USER_FOLDER: os.environ.get(USER_FOLDER) or os.getcwd(), TRUSTED: paths}


def trust_environment() -> None:
    """Trusts what `environment` says; a process that this one starts does not inherit it."""
    paths = os.environ.pop(TRUSTED, "").split()
    if paths == ["*"]:
        trust_all()
    else:
        trust(paths)


@contextlib.contextmanager
def stored_in(where: object) -> Iterator[None]:
    """Names the folder or file in the error about an import path that it contains."""
    try:
        yield
    except NotTrusted as error:
        raise NotTrusted(error.noun, error.path, error.where or str(where)) from None


def typed_paths(arguments: Iterable[str]) -> list[str]:
    """Finds the import paths in the arguments of a command line, without their options.

    Leaves out names of existing files and folders, with options or without: a stranger may have
    chosen them.
    """
    return [
        path
        for argument in arguments
        if not any(map(os.path.lexists, (argument, argument.rpartition("?")[0] or argument)))
        for path in _TYPED.findall(argument)
        if not os.path.lexists(path)
    ]


def names(kind: Kind) -> tuple[str, ...]:
    """Lists the names of a kind: the built-in ones, then those that installed packages register."""
    return (*kind.builtin, *(n for n in _registered(kind.group) if n not in kind.builtin))


def check(kind: Kind, name: str) -> None:
    """Checks a name or import path without its options; imports nothing.

    Raises:
        ValueError: the name is unknown.
        NotTrusted: the import path is not trusted; a ValueError as well.
    """
    if name in kind.builtin:
        return
    if is_import_path(name):
        if not (_Trust.everything or name in _Trust.paths):
            raise NotTrusted(kind.noun, name)
    elif name not in _registered(kind.group):
        every = names(kind)
        suggestion = kind.suggest(name) if kind.suggest else did_you_mean(name, every)
        choices = ", ".join([*every, *([kind.more] if kind.more else [])])
        raise ValueError(
            f"unknown {kind.noun} {name!r}{suggestion}; "
            + (f"choose from {choices}, or " if choices else "")
            + "write an import path, MODULE:NAME"
        )


def load(kind: Kind, name: str, is_valid: Callable[[Any], bool], expected: str) -> Any:
    """Imports what a registered name or an import path names; it is not called.

    Args:
        kind: what it must be.
        name: without options; not a built-in name.
        is_valid: tells whether an object is of this kind.
        expected: what `is_valid` accepts, for the error: "a dataclass that inherits Game".

    Raises:
        ValueError: see `check`; or the module cannot be imported, has no such name, or the name is
            something else.
    """
    check(kind, name)
    entry = _registered(kind.group).get(name)
    path = entry.value.replace(" ", "") if entry else name
    thing = _import(kind, path)
    if not is_valid(thing):
        raise ValueError(f"{path} is not a {kind.noun}: expected {expected}, got {thing!r}")
    if name not in _Trust.followed:  # a file may change after its import
        module = sys.modules[path.partition(":")[0]]
        _Trust.followed[name] = source_digest.of(path, module)
    return thing


def followed(names: Container[str] | None = None) -> tuple[Source, ...]:
    """Returns the sources of modules that specs made this process import, ordered by path.

    Args:
        names: only what these names and import paths, without options, stand for; None: everything.
    """
    sources = (s for name, s in _Trust.followed.items() if names is None or name in names)
    return tuple(sorted(sources))


def differing(digests: Mapping[str, str]) -> dict[str, tuple[str, str]]:
    """Compares the sources that this process followed with those of another process.

    Args:
        digests: import path → digest there.

    Returns:
        Import path → (digest there, digest here), for every path that both followed and whose
        digests differ.
    """
    here = {source.path: source.digest for source in followed()}
    return {
        path: (digest, here[path])
        for path, digest in digests.items()
        if here.get(path, digest) != digest
    }


def parse_arguments(owner: str, text: str, types: Mapping[str, type]) -> dict[str, Any]:
    """Parses the options behind a spec into values of the declared types.

    Args:
        owner: whose options these are, for error messages.
        text: what follows the "?"; may be empty.
        types: the type of each option: bool, int, float or str.

    Raises:
        ValueError: an option that is unknown, repeated or of the wrong type.
    """
    parsed = {
        option: value if types.get(option) is str else _parse_value(value)
        for option, value in parse_options(owner, text).items()
    }
    check_arguments(owner, parsed, types)
    return parsed


def check_arguments(owner: str, values: Mapping[str, object], types: Mapping[str, type]) -> None:
    """Raises ValueError for an option that is unknown or of the wrong type.

    An option must be declared as bool, int, float or str.
    """
    check_known(owner, values, types)
    for option in values:
        if types[option] not in (bool, int, float, str):
            raise ValueError(
                f"{owner}: option {option} is declared as {types[option]}; declare it as bool, "
                "int, float or str"
            )
    for option, value in values.items():
        if not _fits(value, types[option]):
            raise ValueError(
                f"{owner}: option {option}={value!r} must be {types[option].__name__}, "
                f"not {type(value).__name__}"
            )


def keyword_types(function: Callable[..., object]) -> dict[str, type]:
    """Returns the types of a function's keyword-only parameters: the options of its spec.

    A parameter without an annotation has the type of its default.
    """
    parameters = inspect.signature(function).parameters.values()
    options = [p for p in parameters if p.kind is p.KEYWORD_ONLY]
    hints = type_hints(function) if options else {}
    return {
        p.name: hints.get(p.name, str if p.default is p.empty else type(p.default)) for p in options
    }


def type_hints(thing: Callable[..., object]) -> dict[str, Any]:
    """Returns the annotations of a function or class; ValueError if one names nothing."""
    try:
        return get_type_hints(thing)
    except NameError as error:
        raise ValueError(
            f"{thing.__module__}.{thing.__qualname__}: an annotation cannot be resolved ({error}); "
            "import its names when the program runs, not under TYPE_CHECKING"
        ) from error


def build(
    kind: Kind, spec: str, make: Callable[..., T], expected: type | None, *args: Any, **options: Any
) -> T:
    """Calls a function that a spec names.

    Args:
        kind: what the function makes.
        spec: names it, for errors.
        make: the function.
        expected: the type of what it returns; None: any callable.
        *args: its arguments.
        **options: the options behind the spec's "?".

    Raises:
        ValueError: it raised an error, or returned something else.
    """
    try:
        result = make(*args, **options)
    except (ValueError, OSError):
        raise
    except Exception as error:
        raise ValueError(
            f"{kind.noun} {spec!r} failed with {type(error).__name__}: {error} "
            "(OOMZERO_TRACEBACK=1 shows where)"
        ) from error
    if not (isinstance(result, expected) if expected else callable(result)):
        name = expected.__name__ if expected else "a function"
        raise ValueError(f"{kind.noun} {spec!r} returned {result!r}, expected {name}")
    return result


def resolve(
    kind: Kind, spec: str, builtin: Mapping[str, Any], decorator: type
) -> tuple[Any, dict[str, Any]]:
    """Returns the decorated function that a spec names, and the options behind its "?".

    Args:
        kind: what it must be.
        spec: a name or an import path, with options.
        builtin: the decorated functions of the built-in names.
        decorator: the dataclass that decorates such functions; its field `make` is the function.

    Raises:
        ValueError: see `load` and `parse_arguments`.
    """
    name, _, text = spec.partition("?")
    expected = f"a function decorated with {decorator.__module__}.{decorator.__name__}"
    decorated = builtin.get(name) or load(
        kind, name, lambda thing: isinstance(thing, decorator), expected
    )
    types = keyword_types(decorated.make)
    return decorated, parse_arguments(f"{kind.noun} {name}", text, types)


def merged(owner: str, parsed: Mapping[str, Any], others: Mapping[str, Any]) -> dict[str, Any]:
    """Returns the options of two sources together; raises ValueError if one is in both."""
    check_unique(owner, [*parsed, *others])
    return {**parsed, **others}


def _import(kind: Kind, path: str) -> Any:
    """Returns the object at an import path."""
    module_name, _, attribute = path.partition(":")
    folder = os.environ.get(USER_FOLDER) or os.getcwd()
    _search_in(folder, module_name)
    try:
        module = importlib.import_module(module_name)
    except ModuleNotFoundError as error:
        if not f"{module_name}.".startswith(f"{error.name}."):
            raise ValueError(
                f"{kind.noun} {path!r}: {module_name} needs the module {error.name!r}, which is "
                "not installed"
            ) from error
        stem = module_name.removesuffix(".py")
        hint = f"; write {stem}:{attribute}" if stem != module_name else ""
        raise ValueError(
            f"{kind.noun} {path!r}: {module_name} cannot be imported ({error}); it must be "
            f"installed, or a module in the working directory {folder}{hint}"
        ) from error
    except (Exception, SystemExit) as error:  # any code may run during the import
        raise ValueError(
            f"{kind.noun} {path!r}: the import of {module_name} failed with "
            f"{type(error).__name__}: {error} (OOMZERO_TRACEBACK=1 shows where)"
        ) from error
    if not hasattr(module, attribute):
        public = [name for name in vars(module) if not name.startswith("_")]
        file = getattr(module, "__file__", "built in")
        raise ValueError(
            f"{kind.noun} {path!r}: {module_name} ({file}) has no {attribute!r}"
            f"{did_you_mean(attribute, public)}"
        )
    return getattr(module, attribute)


def _search_in(folder: str, module: str) -> None:
    """Makes a folder the last place where modules are looked for, if `module` is nowhere else."""
    top = module.partition(".")[0]
    if top in sys.modules or importlib.util.find_spec(top):
        return
    if folder not in sys.path and os.path.isdir(folder):
        sys.path.append(folder)
        _Trust.folders.add(folder)


@cache
def _registered(group: str) -> dict[str, EntryPoint]:
    """Returns the entry points of a group by name; nothing is imported.

    The working directory may be a stranger's, so no package there counts as installed.
    """
    ours = {os.getcwd(), *_Trust.folders}
    places = [place for place in sys.path if os.path.abspath(place) not in ours]
    entries = [e for d in distributions(path=places) for e in d.entry_points if e.group == group]
    return {entry.name: entry for entry in reversed(entries)}  # the first on the path counts


def _parse_value(text: str) -> object:
    """Parses a number or bool as JSON writes it; returns any other text unchanged."""
    try:
        return json.loads(text.lower())
    except ValueError:
        return text


def _fits(value: object, wanted: type) -> bool:
    """Tests whether `value` has the wanted type; an int may be a float, a bool only a bool."""
    if wanted is float:
        return type(value) in (int, float)
    return type(value) is wanted
