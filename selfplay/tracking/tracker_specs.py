"""Specs of trackers: ``tensorboard``, ``wandb?project=x&mode=offline``, ``my_module:my_tracker``.

Options behind the "?" are the keyword-only parameters of a function, or of a class's constructor.
Installed packages register names in the entry-point group ``oomzero.trackers``.
"""

from __future__ import annotations

import importlib.util
import inspect
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from typing import Any, NamedTuple

from games import extras, plugins
from games.plugins import Kind
from selfplay.tracking.builtin import TensorBoard, Trackio, Wandb
from selfplay.tracking.tracker import Tracker

BUILTIN: Mapping[str, type] = {"tensorboard": TensorBoard, "wandb": Wandb, "trackio": Trackio}
KIND = Kind("tracker", "oomzero.trackers", tuple(BUILTIN))
EXTRAS = ("wandb", "trackio")  # trackers that need the package and the extra of their name


class NamedTracker(NamedTuple):
    """A tracker that can be started for a run.

    Attributes:
        name: as messages call it.
        make: starts it for one run.
    """

    name: str
    make: Callable[[], Tracker]


def resolve(specs: Iterable[str | Tracker]) -> list[NamedTracker]:
    """Resolves specs and functions; constructs each class once, so that it checks its options.

    Raises:
        ValueError: a name is unknown, its package is not installed, an option is wrong; or an
            import path is not trusted, or names something that is not a tracker.
    """
    return [_resolve(spec) for spec in specs]


def _resolve(spec: str | Tracker) -> NamedTracker:
    if not isinstance(spec, str):
        name = getattr(spec, "__name__", type(spec).__name__)
        make = spec if inspect.isclass(spec) else lambda: spec.__call__
        return NamedTracker(name, make)  # an object is the caller's: without its method `close`
    name, _, text = spec.partition("?")
    thing = BUILTIN.get(name)
    if thing is None:
        expected = "a function of (row, run), or a class whose objects are called with them"
        thing = plugins.load(KIND, name, _is_tracker, expected)
    elif name in EXTRAS and not _is_installed(name):
        raise ValueError(
            f"tracker {name!r} needs the package {name}, which is not installed; install it: "
            f"{extras.install(name)}"
        )
    is_class = inspect.isclass(thing)
    types = plugins.keyword_types(thing.__init__ if is_class else thing)
    make = partial(thing, **plugins.parse_arguments(f"tracker {name}", text, types))
    if not is_class:
        return NamedTracker(name, lambda: make)
    make()
    return NamedTracker(name, make)


def _is_installed(package: str) -> bool:
    """Tells whether a package can be imported; a folder of its name in sys.path is not enough."""
    spec = importlib.util.find_spec(package)
    return spec is not None and spec.origin is not None


def _is_tracker(thing: Any) -> bool:
    """Tells whether a function, or the objects of a class, can be called with a row and a run."""
    call, places = thing, 2
    if inspect.isclass(thing):
        calls = [vars(c)["__call__"] for c in thing.__mro__ if "__call__" in vars(c)]
        call, places = (calls[0] if calls else None), 3
    try:
        inspect.signature(call).bind_partial(*[None] * places)  # pyright: ignore
    except (TypeError, ValueError):  # not callable, or with other parameters; not inspectable
        return False
    return True
