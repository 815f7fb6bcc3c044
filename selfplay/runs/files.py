"""Atomic files with checksums: JSON documents and archives of arrays.

A file is either whole or absent: it is written under a temporary name in the same folder, synced
and renamed, and the folder is synced. Arrays go to uncompressed ``.npz`` without pickle; JSON
documents that matter carry their own SHA-256.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import gzip
import hashlib
import io
import json
import math
import os
import re
import stat
import tempfile
import zipfile
import zlib
from collections.abc import Callable, Collection, Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import IO

import numpy as np

from selfplay.runs.codec import Json, JsonObject

TEMPORARY = ".tmp-"  # prefix of file names; such files may be deleted when a run is opened
LOCK = "lock"  # name of the file that the folder's only writer locks
_TEMPORARY_NAME = re.compile(rf"^{re.escape(TEMPORARY)}(\d+-)?(?=.)")
_DTYPES = "__dtypes__"  # npz entry: JSON {name: dtype} of arrays that npz has no dtype for
_SHA = "sha256"  # key of a hashed JSON document

_REASONS = {
    errno.EACCES: "permission denied; run this as a user who may, or name another place",
    errno.EPERM: "not permitted; run this as a user who may, or name another place",
    errno.EROFS: "its disk is read-only; name another place",
    errno.ENOENT: "it does not exist",
    errno.ENOTDIR: "a part of its path is a file, not a folder",
    errno.EISDIR: "it is a folder, expected a file",
    errno.EEXIST: "it exists, and is not a folder",
    errno.ENOTEMPTY: "it is a folder that is not empty",
    errno.ENAMETOOLONG: "its name is too long; choose a shorter one",
    errno.ELOOP: "its links go round in a circle",
    errno.ENOSPC: "its disk is full",
    errno.EDQUOT: "its user's share of the disk is full",
    errno.EMFILE: "this process has too many files open; raise `ulimit -n`",
}


def describe(error: OSError) -> str:
    """Describes a system error in words: ``PATH: it does not exist``."""
    if error.errno is None:
        return str(error)
    reason = _REASONS.get(error.errno, (error.strerror or "unknown error").lower())
    name = error.filename if error.filename2 is None else error.filename2
    if not isinstance(name, (str, bytes)):
        return reason
    path = Path(os.fsdecode(name))
    return f"{path.with_name(_TEMPORARY_NAME.sub('', path.name)) if path.name else path}: {reason}"


def in_words(error: Exception) -> str:
    """Describes any error in words; see `describe` for system errors."""
    return describe(error) if isinstance(error, OSError) else str(error)


def check_writable(folder: Path) -> None:
    """Raises OSError if a folder cannot be made or written to; leaves nothing behind."""
    above = next(path for path in (folder, *folder.parents) if os.path.lexists(path))
    try:
        with tempfile.TemporaryDirectory(prefix=TEMPORARY, dir=above) as temporary:
            Path(temporary, folder.relative_to(above)).mkdir(parents=True, exist_ok=True)
    except OSError as error:
        # A file system that takes no folders, such as /proc, denies that the path exists.
        number = errno.EPERM if error.errno == errno.ENOENT else error.errno
        raise OSError(number, error.strerror, str(folder)) from None


class CorruptedFile(RuntimeError):
    """A file is missing, cut short or altered.

    Attributes:
        path: the file.
        why: how it is damaged.
    """

    def __init__(self, path: str | os.PathLike[str], why: str) -> None:
        super().__init__(f"{path} is damaged: {why}")
        self.path = Path(path)
        self.why = why


def reject_links(folder: Path) -> None:
    """Raises ValueError if a folder contains links or devices; the folder itself may be a link.

    Links in a folder from an untrusted source would make us read, write or delete files elsewhere.
    Each folder is checked once per process, because many readers open the same one: what is put
    into it later is not noticed.
    """
    _reject_links(os.path.realpath(folder))


@cache
def _reject_links(folder: str) -> None:
    for parent, folders, files in os.walk(folder):
        for name in (*folders, *files):
            path = os.path.join(parent, name)
            with contextlib.suppress(FileNotFoundError):  # deleted meanwhile: the run is training
                mode = os.lstat(path).st_mode
                if not (stat.S_ISREG(mode) or stat.S_ISDIR(mode)):
                    kind = "link" if stat.S_ISLNK(mode) else "device"
                    raise ValueError(
                        f"{path!r} is a {kind}, and only files and folders are allowed here; "
                        "replace it by what it points to, or remove it"
                    )


def sync(path: Path) -> None:
    """Makes a file's content, or a folder's renames, survive a power cut."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def take_lock(folder: Path) -> int:
    """Makes this process the folder's only writer until the returned handle is closed.

    Raises ValueError with the other process's id if the folder already has a writer.
    """
    handle = os.open(folder / LOCK, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o644)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        owner = os.read(handle, 32).decode(errors="replace").strip() or "unknown"
        os.close(handle)
        raise ValueError(
            f"{folder} is being written by another process (pid {owner}): wait for it or stop it"
        ) from None
    try:
        os.ftruncate(handle, 0)
        os.write(handle, f"{os.getpid()}\n".encode())
    except BaseException:  # the disk is full
        os.close(handle)
        raise
    return handle


@contextlib.contextmanager
def _atomic(path: Path) -> Iterator[IO[bytes]]:
    """Opens a temporary file that replaces ``path`` when the block ends without an error."""
    temporary = path.with_name(f"{TEMPORARY}{os.getpid()}-{path.name}")
    temporary.unlink(missing_ok=True)
    try:
        with open(temporary, "xb") as handle:  # fails on a link planted at that name
            yield handle
            handle.flush()
            os.fsync(handle.fileno())
        os.replace(temporary, path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    sync(path.parent)


def write_bytes(path: Path, data: bytes) -> None:
    """Replaces the content of ``path``; readers and crashes see the old content or the new."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with _atomic(path) as handle:
        handle.write(data)


def write_gzip(path: Path, data: bytes) -> None:
    """Writes compressed data atomically; equal data make equal files, without name and date."""
    buffer = io.BytesIO()
    with gzip.GzipFile("", "wb", compresslevel=9, fileobj=buffer, mtime=0) as archive:
        archive.write(data)
    write_bytes(path, buffer.getvalue())


def read_gzip(path: Path, limit: int) -> bytes:
    """Reads a file of `write_gzip` that may come from an untrusted source.

    Raises CorruptedFile if it is missing or damaged, or has more than `limit` bytes uncompressed.
    """
    try:
        with gzip.open(path) as archive:
            data = archive.read(limit + 1)
    except FileNotFoundError:
        raise CorruptedFile(path, "the file is missing") from None
    except (OSError, EOFError, zlib.error) as error:
        raise CorruptedFile(path, f"it cannot be decompressed ({error})") from error
    if len(data) > limit:
        raise CorruptedFile(path, f"it has more than {limit:,} bytes uncompressed")
    return data


def _map(data: Json, leaf: Callable[[Json], Json]) -> Json:
    """Applies ``leaf`` to every value in nested mappings and sequences."""
    if isinstance(data, Mapping):
        return {str(key): _map(value, leaf) for key, value in data.items()}
    if isinstance(data, (list, tuple)):
        return [_map(value, leaf) for value in data]
    return leaf(data)


def _to_jsonable_leaf(value: object) -> Json:
    if value is None or isinstance(value, (str, bool, int)):
        return value
    if isinstance(value, float):
        return float(value) if math.isfinite(value) else str(float(value))
    if hasattr(value, "tolist") and hasattr(value, "dtype"):  # NumPy and JAX arrays and scalars
        return _map(np.asarray(value).tolist(), _to_jsonable_leaf)
    raise TypeError(f"{value!r} ({type(value).__name__}) has no JSON form")


def to_jsonable(data: object) -> Json:
    """Converts data to strict JSON values; arrays become lists.

    NaN and infinities, which JSON lacks, become ``"nan"``, ``"inf"`` and ``"-inf"``. Raises
    TypeError for a value without a JSON form.
    """
    return _map(data, _to_jsonable_leaf)


def from_jsonable(data: Json) -> Json:
    """Converts ``"nan"``, ``"inf"`` and ``"-inf"`` of ``to_jsonable`` back to numbers."""
    words = {"nan", "inf", "-inf"}
    return _map(data, lambda x: float(x) if isinstance(x, str) and x in words else x)


def write_json(path: Path, data: object) -> None:
    """Writes ``to_jsonable(data)`` atomically."""
    text = json.dumps(to_jsonable(data), indent=1, allow_nan=False)
    write_bytes(path, text.encode() + b"\n")


def read_json(path: Path) -> Json:
    """Reads a JSON value; raises CorruptedFile if the file is missing or does not parse."""
    try:
        return json.loads(path.read_bytes())
    except FileNotFoundError:
        raise CorruptedFile(path, "the file is missing") from None
    except (ValueError, RecursionError) as error:
        raise CorruptedFile(path, f"it is not JSON ({error})") from error


def _sha(data: JsonObject) -> str:
    """Returns the SHA-256 over all entries but the checksum itself."""
    body = {key: value for key, value in data.items() if key != _SHA}
    text = json.dumps(body, sort_keys=True, separators=(",", ":"), allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()


def write_hashed_json(path: Path, data: Mapping[str, Json]) -> None:
    """Writes a JSON object atomically, with a ``sha256`` entry over all other entries."""
    body = to_jsonable(data)
    write_json(path, {**body, _SHA: _sha(body)})


def read_hashed_json(path: Path) -> JsonObject:
    """Reads what ``write_hashed_json`` wrote; raises CorruptedFile if any value was altered."""
    data = read_json(path)
    if not isinstance(data, dict) or data.get(_SHA) != _sha(data):
        raise CorruptedFile(path, "its content does not match the SHA-256 it carries")
    return {key: value for key, value in data.items() if key != _SHA}


def _digest_of(arrays: Mapping[str, np.ndarray]) -> str:
    """Returns the digest of arrays."""
    from selfplay.runs.digest import digest  # imports JAX, which reading a JSON file does not need

    return digest(arrays)


def save_arrays(path: Path, arrays: Mapping[str, np.ndarray], digest: str | None = None) -> str:
    """Writes ``{name: array}`` atomically as an uncompressed ``.npz``; returns its digest.

    Takes every NumPy and ml_dtypes dtype, such as bfloat16, but raises TypeError for objects.
    `digest` is the arrays' digest, if the caller has computed it.
    """
    host = {name: np.asarray(array) for name, array in arrays.items()}
    digest = digest or _digest_of(host)  # raises TypeError for arrays of objects
    foreign = {n: a.dtype.name for n, a in host.items() if a.dtype.isbuiltin == 2}
    for name in foreign:
        host[name] = host[name].view(f"u{host[name].dtype.itemsize}")
    if foreign:
        host[_DTYPES] = np.frombuffer(json.dumps(foreign).encode(), np.uint8)
    path.parent.mkdir(parents=True, exist_ok=True)
    with _atomic(path) as handle, zipfile.ZipFile(handle, "w", zipfile.ZIP_STORED) as archive:
        for name, array in sorted(host.items()):
            with archive.open(f"{name}.npy", "w", force_zip64=True) as entry:
                np.lib.format.write_array(entry, np.asanyarray(array), allow_pickle=False)
    return digest


def _check_size(archive: zipfile.ZipFile, size: int) -> None:
    """Raises ValueError if the entries are larger than the file, so that they would inflate."""
    if sum(entry.file_size for entry in archive.infolist()) > size:
        raise ValueError("its uncompressed size exceeds the size of the file")


def load_arrays(
    path: Path, digest: str | None = None, names: Collection[str] = ()
) -> dict[str, np.ndarray]:
    """Reads ``{name: array}`` from ``save_arrays`` and compares the digest, if one is given.

    With `names`, only those arrays that the file has are read, and no digest can be compared.

    Raises CorruptedFile if the file is missing, truncated or altered.
    """
    try:
        # np.load does not close a file that it opened itself if the archive is damaged.
        with path.open("rb") as handle, np.load(handle, allow_pickle=False) as archive:
            _check_size(archive.zip, path.stat().st_size)
            wanted = {*names, _DTYPES} if names else archive.files
            arrays = {name: archive[name] for name in archive.files if name in wanted}
        foreign = json.loads(arrays.pop(_DTYPES).tobytes()) if _DTYPES in arrays else {}
        for name, dtype in foreign.items():
            arrays[name] = arrays[name].view(np.dtype(dtype))
    except FileNotFoundError:
        raise CorruptedFile(path, "the file is missing") from None
    except Exception as error:  # a damaged zip or header raises one of a dozen types
        text = describe(error) if isinstance(error, OSError) else f"{type(error).__name__}: {error}"
        raise CorruptedFile(path, f"its arrays cannot be read ({text})") from error
    if digest is not None and (actual := _digest_of(arrays)) != digest:
        raise CorruptedFile(path, f"its digest is {actual[:12]}…, expected {digest[:12]}…")
    return arrays
