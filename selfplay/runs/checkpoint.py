"""Full checkpoints: the arrays of a pytree, written by Orbax, checked by digest.

``checkpoints/00000012/arrays`` is an Orbax checkpoint of one flat vector for each dtype, because
Orbax takes about a millisecond for every array it stores; ``tree.json`` beside it lists, in the
order of the vectors, each leaf's path, dtype and shape, the digest, and the caller's extra JSON.
A save is finished, and on disk, when it returns.
"""

from __future__ import annotations

import contextlib
import functools
import logging
import math
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from selfplay.runs.digest import digest
from selfplay.runs.files import CorruptedFile, read_hashed_json, sync, write_hashed_json
from selfplay.runs.tree import flatten, unflatten


def checkpoint_path(folder: Path, iteration: int) -> Path:
    """``folder/checkpoints/00000012``."""
    return folder / "checkpoints" / f"{iteration:08d}"


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Silences Orbax's progress messages, which go through absl's logger."""
    logger = logging.getLogger("absl")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        logger.setLevel(level)


@functools.cache
def _orbax() -> tuple[Any, Any]:
    import orbax.checkpoint as ocp  # slow to import

    return ocp, ocp.Checkpointer(ocp.PyTreeCheckpointHandler())


def _pack(flat: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """``{dtype name: vector [elements]}`` of all leaves of that dtype, in path order."""
    groups: dict[str, list[np.ndarray]] = {}
    for array in flat.values():
        if array.size:  # Orbax refuses empty arrays
            groups.setdefault(array.dtype.name, []).append(array.reshape(-1))
    return {name: np.concatenate(parts) for name, parts in groups.items()}


def _unpack(vectors: Mapping[str, np.ndarray], leaves: list[Any]) -> dict[str, np.ndarray]:
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
        found = checkpointer.restore(arrays.resolve(), args=args)
    return {name: np.asarray(found[name]) for name in dtypes}


def save(
    folder: Path, iteration: int, state_tree: Any, extra_json: Mapping[str, Any] | None = None
) -> str:
    """Writes a checkpoint, over one that is there, and returns the digest of ``state_tree``.

    Leaves are arrays, PRNG keys or numbers (0-d and empty arrays too); raises TypeError for others.
    """
    flat = flatten(state_tree)
    for path, array in flat.items():
        if array.dtype.kind in "USOMm":
            raise TypeError(f"the leaf at {path!r} is {array.dtype}, expected numbers")
    target = checkpoint_path(Path(folder), iteration)
    if target.exists():
        shutil.rmtree(target)
    target.mkdir(parents=True)
    answer = digest(flat)
    if vectors := _pack(flat):
        _, checkpointer = _orbax()
        with _quiet():
            checkpointer.save((target / "arrays").resolve(), vectors)
        for path in (target / "arrays").rglob("*"):  # Orbax leaves its metadata to the kernel
            sync(path)
    sync(target.parent)
    leaves = [[path, a.dtype.name, list(a.shape)] for path, a in flat.items()]
    write_hashed_json(
        target / "tree.json", {"digest": answer, "leaves": leaves, "extra": extra_json or {}}
    )
    return answer


def load(folder: Path, iteration: int) -> tuple[dict[str, np.ndarray], dict[str, Any], str]:
    """``({path: array}, extra_json, digest)`` of a checkpoint, after comparing the digest.

    Raises CorruptedFile naming what is missing or altered.
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
    if (actual := digest(flat)) != info["digest"]:
        why = f"its digest is {actual[:12]}…, expected {info['digest'][:12]}…"
        raise CorruptedFile(arrays, why)
    return flat, info["extra"], info["digest"]


def restore(folder: Path, iteration: int, like: Any) -> Any:
    """The tree of a checkpoint with the structure, leaf types and devices of ``like``.

    Raises CorruptedFile for a damaged checkpoint, ValueError where it does not fit ``like``.
    """
    return unflatten(like, load(folder, iteration)[0])
