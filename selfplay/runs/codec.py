"""Frozen dataclass configs as JSON and back, with a one-sentence error for every mistake.

Fields may be bool, int, float (finite), str, None, tuples, Literal, Optional and other unions of
these, and nested dataclasses. Files contain neither pickles nor class names: the reader names the
class.
"""

from __future__ import annotations

import dataclasses
import json
import math
import types
import typing
from collections.abc import Mapping
from typing import Any, Literal, TypeVar, Union

FORMAT_VERSION = 3
"""The format of new run folders; raised by changes that older programs cannot read."""

READABLE_FORMATS = (1, 2, 3)
"""The formats that this program reads.

Format 1 has other names, see `selfplay.runs.renamed`; 1 and 2 have one digest for a checkpoint.
"""

# Metadata of a field that was added after runs of this format were written. Its default is not
# written, and a missing key means the default: old files and comparisons of configs stay the same.
ADDED = {"added": True}

# Metadata of a field, or of a section, that does not affect what is computed: it may change when a
# run is resumed. The keys of both can be combined: `ADDED | MUTABLE`.
MUTABLE = {"mutable": True}

Json = Any
"""A JSON value: None, bool, int, float, str, or a list or dict of them."""

JsonObject = dict[str, Any]
"""A JSON object."""

TypeForm = Any
"""A type as in an annotation: a class, a union, a Literal, a parameterized tuple."""

T = TypeVar("T")
_ABSENT = object()


def to_json(config: object) -> JsonObject:
    """Converts a config to JSON values; raises ValueError for a field without a JSON form."""
    if not dataclasses.is_dataclass(config) or isinstance(config, type):
        raise ValueError(f"a config must be a dataclass instance, not {config!r}")
    return _encode(config, "")


def _encode(value: object, path: str) -> Json:
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


def from_json(cls: type[T], data: Json) -> T:
    """Builds a ``cls`` from what ``to_json`` returned.

    Raises ValueError for an unknown key, a missing key or a wrong type, naming the key, its value
    and what was expected; and what the dataclasses' own checks raise.
    """
    return _decode(cls, data, "")


def _decode(kind: TypeForm, value: Json, path: str) -> Any:
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


def _decode_dataclass(cls: type, data: Json, path: str) -> object:
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


def _added(cls: type) -> dict[str, object]:
    """Returns the fields of a dataclass that are marked with ``ADDED``, and their defaults."""
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


def _decode_union(kind: TypeForm, members: tuple[TypeForm, ...], value: Json, path: str) -> object:
    # float comes last: it accepts an int, which must become an int if the union has one
    for member in sorted(members, key=lambda m: m is float):
        if dataclasses.is_dataclass(member) and isinstance(value, Mapping):
            return _decode(member, value, path)  # its error is more precise than ours
        try:
            return _decode(member, value, path)
        except ValueError:
            continue
    raise _wrong(path, value, _name(kind))


def _decode_tuple(kinds: tuple[TypeForm, ...], value: Json, path: str) -> tuple[object, ...]:
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
    # Names may come from an untrusted file: quote those that could steer a terminal.
    shown = name if name.isidentifier() else json.dumps(name)
    return f"{path}.{shown}" if path else shown


def _name(kind: TypeForm) -> str:
    return kind.__name__ if isinstance(kind, type) else str(kind).replace("typing.", "")


def _wrong(path: str, value: Json, expected: str) -> ValueError:
    what = path or "the config"
    return ValueError(f"{what} is {value!r} ({type(value).__name__}), expected {expected}")


def flat(value: Json, path: str = "") -> JsonObject:
    """Flattens a config's JSON form to ``{dotted path: value}``."""
    if isinstance(value, Mapping) and (value or not path):
        parts = [flat(item, _join(path, str(key))) for key, item in value.items()]
        return {key: item for part in parts for key, item in part.items()}
    return {path: value}


def differing(a: object, b: object) -> dict[str, tuple[str, str]]:
    """Compares two configs, or their JSON forms, field by field.

    Returns ``{dotted path: (value in a, value in b)}`` of the fields that differ, as JSON text;
    "absent" for a field that one of them lacks. 3 and 3.0 are equal, True and 1 are not.
    """
    in_a, in_b = (flat(x if isinstance(x, Mapping) else to_json(x)) for x in (a, b))

    def text(side: JsonObject, key: str) -> str:
        return json.dumps(side[key]) if key in side else "absent"

    def same(key: str) -> bool:
        x, y = in_a.get(key, _ABSENT), in_b.get(key, _ABSENT)
        return x == y and isinstance(x, bool) == isinstance(y, bool)

    keys = [key for key in {**in_a, **in_b} if not same(key)]
    return {key: (text(in_a, key), text(in_b, key)) for key in keys}
