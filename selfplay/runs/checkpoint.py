"""Full checkpoints: the arrays of pytrees, written by Orbax and compared by digest.

``checkpoints/00000012/arrays`` is an Orbax checkpoint with one flat vector for each dtype, because
Orbax takes about a millisecond for every array that it stores. ``tree.json`` lists, in the order of
the vectors, each leaf's path, dtype and shape, and a digest of each part. A checkpoint is complete
and on disk when ``save`` returns.
"""

from __future__ import annotations

import contextlib
import functools
import logging
import math
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple

import numpy as np

from selfplay.runs.codec import Json
from selfplay.runs.digest import digest
from selfplay.runs.files import CorruptedFile, read_hashed_json, sync, write_hashed_json
from selfplay.runs.tree import SEPARATOR, PyTree, flatten

WHOLE = ""
"""The part of a checkpoint of format 1 or 2, which has one digest of all its arrays."""


class Checkpoint(NamedTuple):
    """The content of a checkpoint.

    Attributes:
        parts: ``{path: array}`` of each part.
        digests: digest of each part, as the checkpoint was saved with.
    """

    parts: dict[str, dict[str, np.ndarray]]
    digests: dict[str, str]


def checkpoint_path(folder: Path, iteration: int) -> Path:
    """Returns ``folder/checkpoints/00000012``."""
    return folder / "checkpoints" / f"{iteration:08d}"


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Suppresses Orbax's progress messages, which are logged by absl."""
    logger = logging.getLogger("absl")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        logger.setLevel(level)


@functools.cache
def _orbax() -> tuple[Any, Any]:
    """Returns the module and a checkpointer; imported here because the import is slow."""
    import orbax.checkpoint as ocp

    return ocp, ocp.Checkpointer(ocp.PyTreeCheckpointHandler())


def _pack(flat: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Joins leaves of the same dtype, in path order: ``{dtype name: vector [elements]}``."""
    groups: dict[str, list[np.ndarray]] = {}
    for array in flat.values():
        if array.size:  # Orbax refuses empty arrays
            groups.setdefault(array.dtype.name, []).append(array.reshape(-1))
    return {name: np.concatenate(parts) for name, parts in groups.items()}


def _unpack(vectors: Mapping[str, np.ndarray], leaves: list[Json]) -> dict[str, np.ndarray]:
    """Undoes ``_pack``; ``leaves`` are ``[path, dtype name, shape]``."""
    flat, used = {}, dict.fromkeys(vectors, 0)
    for path, dtype, shape in leaves:
        size = math.prod(shape)
        if size == 0:
            flat[path] = np.empty(shape, np.dtype(dtype))
            continue
        start = used[dtype]
        used[dtype] = start + size
        flat[path] = vectors[dtype][start : start + size].reshape(shape).copy()
    return flat


def _read_vectors(arrays: Path, dtypes: list[str]) -> dict[str, np.ndarray]:
    ocp, checkpointer = _orbax()
    wanted = {name: ocp.RestoreArgs(restore_type=np.ndarray) for name in dtypes}
    with _quiet():
        args = ocp.args.PyTreeRestore(restore_args=wanted)
        vectors = checkpointer.restore(arrays.resolve(), args=args)
    return {name: np.asarray(vectors[name]) for name in dtypes}


def _split(flat: Mapping[str, np.ndarray]) -> dict[str, dict[str, np.ndarray]]:
    """Groups arrays by the first name of their paths, and drops that name."""
    parts: dict[str, dict[str, np.ndarray]] = {}
    for path, array in flat.items():
        part, _, rest = path.partition(SEPARATOR)
        parts.setdefault(part, {})[rest] = array
    return parts


def save(
    folder: Path,
    iteration: int,
    parts: Mapping[str, PyTree],
    digests: Mapping[str, str] = MappingProxyType({}),
) -> dict[str, str]:
    """Writes a checkpoint, replacing an existing one, and returns the digest of each part.

    Args:
        folder: the run's folder.
        iteration: the iteration.
        parts: pytree of each part; leaves are arrays (0-d and empty ones included), PRNG keys or
            numbers. Parts without leaves are left out.
        digests: digests of parts that the caller has computed; others are computed here.

    Raises:
        TypeError: a leaf is something else.
    """
    flat = flatten(parts)
    for path, array in flat.items():
        if array.dtype.kind in "USOMm":
            raise TypeError(f"the leaf at {path!r} is {array.dtype}, expected numbers")
    target = checkpoint_path(Path(folder), iteration)
    if target.exists():
        shutil.rmtree(target)
    target.mkdir(parents=True)
    digests = {part: digests.get(part) or digest(arrays) for part, arrays in _split(flat).items()}
    if vectors := _pack(flat):
        _, checkpointer = _orbax()
        with _quiet():
            checkpointer.save((target / "arrays").resolve(), vectors)
        for path in (target / "arrays").rglob("*"):  # Orbax does not sync its metadata
            sync(path)
    sync(target.parent)
    leaves = [[path, a.dtype.name, list(a.shape)] for path, a in flat.items()]
    document = {"digests": digests, "leaves": leaves, "extra": {}}
    write_hashed_json(target / "tree.json", document)
    return digests


def load(folder: Path, iteration: int) -> Checkpoint:
    """Reads a checkpoint and compares its digests.

    Raises CorruptedFile naming the file that is missing or altered.
    """
    target = checkpoint_path(Path(folder), iteration)
    info = read_hashed_json(target / "tree.json")
    arrays = target / "arrays"
    dtypes = sorted({dtype for _, dtype, shape in info["leaves"] if 0 not in shape})
    try:
        flat = _unpack(_read_vectors(arrays, dtypes) if dtypes else {}, info["leaves"])
    except Exception as error:  # Orbax and TensorStore raise many types for damaged files
        reason = str(error).splitlines()[0] if str(error) else ""
        why = f"Orbax cannot restore it ({type(error).__name__}: {reason[:200]})"
        raise CorruptedFile(arrays, why) from error
    parts = _split(flat)
    digests = info["digests"] if "digests" in info else {WHOLE: info["digest"]}
    for part, expected in digests.items():
        if (actual := digest(flat if part == WHOLE else parts[part])) != expected:
            name = f"the digest of {part!r}" if part else "its digest"
            raise CorruptedFile(arrays, f"{name} is {actual[:12]}…, expected {expected[:12]}…")
    return Checkpoint(parts, digests)
