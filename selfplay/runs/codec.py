"""Frozen dataclass configs as JSON, and back, with one clear sentence for whatever is wrong.

Fields may be bool, int, float (finite), str, None, tuples, Literal, Optional and other unions of
these, and nested dataclasses. No pickling, no class names in the file: the reader names the class.
"""

from __future__ import annotations

import dataclasses
import json
import math
import types
import typing
from collections.abc import Mapping
from typing import Any, Literal, TypeVar, Union

FORMAT_VERSION = 2
"""Format that run folders are written in; raised by changes that old readers cannot read."""

READABLE_FORMATS = (1, 2)
"""Formats that this program reads; format 1 has other field names, see `selfplay.runs.renamed`."""

# Metadata of a field that was added after runs of this format were written. Its default is not
# written, and read where the key is missing: files and comparisons of configs stay as they were.
ADDED = {"added": True}

# Metadata of a field, or of a section, that does not affect what is computed: it may change when a
# run is resumed. The keys of both can be combined: `ADDED | MUTABLE`.
MUTABLE = {"mutable": True}

T = TypeVar("T")
_ABSENT = object()


def to_json(config: Any) -> dict[str, Any]:
    """The dataclass ``config`` as JSON values; raises ValueError naming a field that has none."""
    if not dataclasses.is_dataclass(config) or isinstance(config, type):
        raise ValueError(f"a config must be a dataclass instance, not {config!r}")
    return _encode(config, "")


def _encode(value: Any, path: str) -> Any:
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        fields = {f.name: getattr(value, f.name) for f in dataclasses.fields(value) if f.init}
        unused = [name for name, default in _added(type(value)).items() if fields[name] == default]
        return {n: _encode(v, _join(path, n)) for n, v in fields.items() if n not in unused}
    if isinstance(value, tuple):
        return [_encode(item, f"{path}[{i}]") for i, item in enumerate(value)]
    if isinstance(value, float) and not math.isfinite(value):
        raise ValueError(f"{path} is {value}, expected a finite number (None for 'no limit')")
    if value is None or type(value) in (bool, int, float, str):
        return value
    raise ValueError(
        f"{path} is {value!r} ({type(value).__name__}), expected a bool, int, float, str, None, "
        "tuple or dataclass"
    )


def from_json(cls: type[T], data: Any) -> T:
    """A ``cls`` from what ``to_json`` gave.

    Raises ValueError for an unknown key, a missing key or a wrong type, naming the key, its value
    and what was expected; and whatever the classes' own checks raise.
    """
    return _decode(cls, data, "")


def _decode(kind: Any, value: Any, path: str) -> Any:
    origin, arguments = typing.get_origin(kind), typing.get_args(kind)
    if dataclasses.is_dataclass(kind) and isinstance(kind, type):
        return _decode_dataclass(kind, value, path)
    if origin in (Union, types.UnionType):
        return _decode_union(kind, arguments, value, path)
    if origin is Literal:
        if any(value == choice and type(value) is type(choice) for choice in arguments):
            return value
        raise _wrong(path, value, "one of " + ", ".join(map(repr, arguments)))
    if origin is tuple:
        return _decode_tuple(arguments, value, path)
    if kind is float and type(value) in (int, float) and math.isfinite(value):
        return float(value)
    if kind in (bool, int, str) and type(value) is kind:
        return value
    if kind in (None, type(None)) and value is None:
        return None
    if kind not in (bool, int, float, str, None, type(None)):
        raise ValueError(f"{path} is declared as {_name(kind)}, which has no JSON form")
    raise _wrong(path, value, _name(kind))


def _decode_dataclass(cls: type, data: Any, path: str) -> Any:
    if not isinstance(data, Mapping):
        raise _wrong(path, data, f"an object with the fields of {cls.__name__}")
    hints = typing.get_type_hints(cls)
    names = [f.name for f in dataclasses.fields(cls) if f.init]
    for key, value in data.items():
        if key not in names:
            raise ValueError(
                f"{_join(path, str(key))} is an unknown key (value {value!r}), expected one of "
                + ", ".join(names)
            )
    added = _added(cls)
    for name in names:
        if name not in data and name not in added:
            raise ValueError(f"{_join(path, name)} is missing, expected {_name(hints[name])}")
    return cls(**{n: _decode(hints[n], data[n], _join(path, n)) for n in names if n in data})


def _added(cls: type) -> dict[str, Any]:
    """The fields of a dataclass that are marked with ``ADDED``, and their defaults."""
    marked = [f for f in dataclasses.fields(cls) if "added" in f.metadata]
    missing = dataclasses.MISSING
    return {
        f.name: f.default if f.default_factory is missing else f.default_factory() for f in marked
    }


def mutable_fields(config_type: type) -> list[str]:
    """Returns the dotted paths of the fields and sections that are marked with ``MUTABLE``."""
    paths: list[str] = []
    hints = typing.get_type_hints(config_type)
    for f in dataclasses.fields(config_type):
        if "mutable" in f.metadata:
            paths.append(f.name)
        elif dataclasses.is_dataclass(section := hints[f.name]) and isinstance(section, type):
            paths += [_join(f.name, path) for path in mutable_fields(section)]
    return paths


def _decode_union(kind: Any, members: tuple[Any, ...], value: Any, path: str) -> Any:
    # float last: it accepts an int, which an int member has the better claim to
    for member in sorted(members, key=lambda m: m is float):
        if dataclasses.is_dataclass(member) and isinstance(value, Mapping):
            return _decode(member, value, path)  # its errors say more than "none fits"
        try:
            return _decode(member, value, path)
        except ValueError:
            continue
    raise _wrong(path, value, _name(kind))


def _decode_tuple(kinds: tuple[Any, ...], value: Any, path: str) -> tuple[Any, ...]:
    if not isinstance(value, (list, tuple)):
        raise _wrong(path, value, "a list")
    if len(kinds) == 2 and kinds[1] is Ellipsis:
        kinds = (kinds[0],) * len(value)
    if len(kinds) != len(value):
        raise _wrong(path, value, f"a list of {len(kinds)} items")
    return tuple(
        _decode(k, v, f"{path}[{i}]") for i, (k, v) in enumerate(zip(kinds, value, strict=True))
    )


def _join(path: str, name: str) -> str:
    shown = name if name.isidentifier() else json.dumps(name)  # it may come from a stranger's file
    return f"{path}.{shown}" if path else shown


def _name(kind: Any) -> str:
    return kind.__name__ if isinstance(kind, type) else str(kind).replace("typing.", "")


def _wrong(path: str, value: Any, expected: str) -> ValueError:
    what = path or "the config"
    return ValueError(f"{what} is {value!r} ({type(value).__name__}), expected {expected}")


def flat(value: Any, path: str = "") -> dict[str, Any]:
    """``{dotted path: value}`` of a config's JSON form."""
    if isinstance(value, Mapping) and (value or not path):
        parts = [flat(item, _join(path, str(key))) for key, item in value.items()]
        return {key: item for part in parts for key, item in part.items()}
    return {path: value}


def differing(a: Any, b: Any) -> dict[str, tuple[str, str]]:
    """``{dotted path: (value in a, value in b)}`` as JSON text, "absent" where there is none.

    ``a`` and ``b`` are configs or their JSON forms. 3 and 3.0 are equal, True and 1 are not.
    """
    left, right = (flat(x if isinstance(x, Mapping) else to_json(x)) for x in (a, b))

    def text(side: dict[str, Any], key: str) -> str:
        return json.dumps(side[key]) if key in side else "absent"

    def same(key: str) -> bool:
        x, y = left.get(key, _ABSENT), right.get(key, _ABSENT)
        return x == y and isinstance(x, bool) == isinstance(y, bool)

    keys = [key for key in {**left, **right} if not same(key)]
    return {key: (text(left, key), text(right, key)) for key in keys}


def differences(a: Any, b: Any) -> list[str]:
    """One text for each differing field: ``"search.num_simulations: 64 != 32"``."""
    return [f"{key}: {x} != {y}" for key, (x, y) in differing(a, b).items()]
