"""Trees of arrays as flat ``{path: host array}`` dictionaries, and back.

A path joins the tree's keys with ``/``: ``{"dense": {"kernel": x}}`` becomes ``dense/kernel``. List
positions and attribute names are parts of a path as well, so the same arrays in a dictionary, a
named tuple or a dataclass have the same flat form and therefore the same digest.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar

import jax
import jax.numpy as jnp
import numpy as np

from selfplay.runs.renamed import ON_DISK

SEPARATOR = "/"

PyTree = Any
"""Nested containers that JAX knows, with arrays as leaves."""

Tree = TypeVar("Tree")


def _is_key(leaf: object) -> bool:
    """Returns True for an array of PRNG keys."""
    dtype = getattr(leaf, "dtype", None)
    return dtype is not None and jnp.issubdtype(dtype, jax.dtypes.prng_key)


def _path(keys: tuple[object, ...]) -> str:
    """Returns a leaf's path, with the names that the attributes of states have on disk."""
    parts = [jax.tree_util.keystr((key,), simple=True) for key in keys]
    is_attribute = [isinstance(key, jax.tree_util.GetAttrKey) for key in keys]
    # A state may be an item of a dictionary or list, as in a checkpoint.
    start = is_attribute.index(True) if any(is_attribute) else len(parts)
    for stop in (start + 1, start + 2):
        name = ON_DISK.get(tuple(parts[start:stop]))
        if name and all(is_attribute[start:stop]):
            parts[stop - 1] = name
    return SEPARATOR.join(parts)


def _paths(tree: PyTree) -> tuple[list[str], list[PyTree], Any]:
    """Returns paths and leaves in the tree's own order, and the tree's structure."""
    pairs, structure = jax.tree_util.tree_flatten_with_path(tree)
    paths = [_path(keys) for keys, _ in pairs]
    if len(set(paths)) != len(paths):
        repeated = min(p for p in paths if paths.count(p) > 1)
        raise ValueError(f"the tree has two leaves at {repeated!r}; a path must name one array")
    return paths, [leaf for _, leaf in pairs], structure


def flatten(tree: PyTree) -> dict[str, np.ndarray]:
    """Flattens a tree to ``{path: host array}``, sorted by path.

    Copies device arrays to the host; PRNG keys become their key data, Python and NumPy scalars 0-d
    arrays. Raises TypeError for a leaf that is not an array of numbers, and ValueError for two
    leaves with the same path.
    """
    paths, leaves, _ = _paths(tree)
    leaves = [jax.random.key_data(x) if _is_key(x) else x for x in leaves]
    leaves = jax.device_get(leaves)
    flat = {path: np.asarray(leaf) for path, leaf in zip(paths, leaves, strict=True)}
    for path, array in flat.items():
        if array.dtype == object:
            raise TypeError(f"the leaf at {path!r} is a {type(array[()])!r}, expected an array")
    return dict(sorted(flat.items()))


def nest(flat: Mapping[str, np.ndarray]) -> dict[str, PyTree]:
    """Converts ``{"a/b": x}`` to ``{"a": {"b": x}}``.

    Raises ValueError if a path names both an array and a group of arrays.
    """
    root: dict[str, PyTree] = {}
    for path, leaf in flat.items():
        *groups, name = path.split(SEPARATOR)
        node = root
        for group in groups:
            node = node.setdefault(group, {})
            if not isinstance(node, dict):
                raise ValueError(f"{path!r} passes through {group!r}, which is an array")
        if name in node:
            raise ValueError(f"{path!r} names both an array and a group of arrays")
        node[name] = leaf
    return root


def _as(like: PyTree, array: np.ndarray, path: str, check_shape: bool) -> PyTree:
    """Converts an array to the form of the leaf ``like``: its device, key type or Python type."""
    if _is_key(like):
        return jax.random.wrap_key_data(jax.device_put(array), impl=jax.random.key_impl(like))
    if isinstance(like, (bool, int, float)):
        return type(like)(array.item())
    dtype, shape = np.dtype(like.dtype), tuple(like.shape)
    if array.dtype != dtype or (check_shape and array.shape != shape):
        raise ValueError(
            f"the stored array at {path!r} is {array.dtype}{list(array.shape)}, "
            f"expected {dtype}{list(shape)}"
        )
    if isinstance(like, jax.Array):
        return jax.device_put(array, like.sharding)
    return array[()] if isinstance(like, np.generic) else array


def unflatten(like: Tree, flat: Mapping[str, np.ndarray], check_shape: bool = True) -> Tree:
    """Builds a tree with the structure and leaf types of ``like`` and the arrays of ``flat``.

    Leaves of ``like`` may be arrays, ``jax.ShapeDtypeStruct`` (which become NumPy arrays) or
    scalars. Raises ValueError naming a path at which the structure, a dtype or (if ``check_shape``)
    a shape differs.
    """
    paths, leaves, structure = _paths(like)
    missing, extra = sorted(set(paths) - set(flat)), sorted(set(flat) - set(paths))
    if missing or extra:
        path, why = (missing[0], "lacks") if missing else (extra[0], "has an unexpected")
        raise ValueError(
            f"the stored tree {why} {path!r} ({len(missing)} paths missing, {len(extra)} extra)"
        )
    new = [_as(x, flat[p], p, check_shape) for p, x in zip(paths, leaves, strict=True)]
    return jax.tree_util.tree_unflatten(structure, new)
