"""A run folder from a stranger: whatever its files hold, opening it runs none of it."""

import io
import json
import os
import pickle
import shutil
import sqlite3
import zipfile
from collections.abc import Callable
from contextlib import closing, suppress
from pathlib import Path

import numpy as np
import pytest

from selfplay import pins
from selfplay.arena.records import Records
from selfplay.scaling import reading
from selfplay.store import metrics
from selfplay.store.files import CorruptedFile
from selfplay.store.run import load_version
from tests.store.runs import carries_at, made, open_run, state_at

pytestmark = [
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
    pytest.mark.filterwarnings("ignore:commit . is skipped"),
]

WORDS = (ValueError, OSError, CorruptedFile)  # what a command turns into one sentence


class Bomb:
    """Unpickled, it leaves a mark."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> tuple[Callable[[str], object], tuple[str]]:
        return _explode, (str(self.mark),)


def _explode(mark: str) -> None:
    Path(mark).touch()


def pickled(mark: Path) -> bytes:
    return pickle.dumps(Bomb(mark))


def array_of_objects(mark: Path) -> bytes:
    data = io.BytesIO()
    objects = np.empty(1, object)
    objects[0] = Bomb(mark)
    np.save(data, objects)
    return data.getvalue()


def archive_of_objects(mark: Path) -> bytes:
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w") as archive:
        for name in ("x.npy", "v.npy", "params/dense/bias.npy", "__dtypes__.npy"):
            archive.writestr(name, array_of_objects(mark))
    return data.getvalue()


def nested(_: Path) -> bytes:
    return b"[" * 200_000


def a_class_by_name(mark: Path) -> bytes:
    """JSON as some libraries turn it back into objects."""
    call = {"py/reduce": [{"py/function": f"{__name__}._explode"}, {"py/tuple": [str(mark)]}]}
    return json.dumps({"format_version": 1, "config": call, "__reduce__": call}).encode()


CRAFTED = (pickled, array_of_objects, archive_of_objects, nested, a_class_by_name)
TEXTS, ARRAYS = (pickled, nested, a_class_by_name), (pickled, archive_of_objects)


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return made(tmp_path_factory.mktemp("template") / "run", 3)


def test_the_bomb_explodes_when_it_is_unpickled(tmp_path: Path) -> None:
    for crafted in (pickled, array_of_objects):
        mark = tmp_path / crafted.__name__
        data = crafted(mark)
        assert not mark.exists()
        if crafted is pickled:
            pickle.loads(data)
        else:
            np.load(io.BytesIO(data), allow_pickle=True)
        assert mark.exists()


def test_no_file_of_a_run_is_executed(template: Path, tmp_path: Path) -> None:
    """Each file in turn, by each of its readers: a sentence, or another commit is used."""
    mark = tmp_path / "executed"
    names = [p.relative_to(template) for p in sorted(template.rglob("*")) if p.is_file()]
    assert len(names) > 15
    for name in names:
        for crafted in TEXTS if b"{" in (template / name).read_bytes()[:1] else ARRAYS:
            folder = tmp_path / "run"
            shutil.copytree(template, folder)
            (folder / name).write_bytes(crafted(mark))
            with suppress(*WORDS), open_run(folder) as run:
                run.restore(state_at(0), carries_at(0))
            with suppress(*WORDS):
                load_version(folder, "last")
            with suppress(*WORDS):
                metrics.read(folder)
            assert not mark.exists(), (name, crafted)
            shutil.rmtree(folder)


@pytest.mark.parametrize("crafted", CRAFTED)
def test_a_ladder_is_read_as_a_table(tmp_path: Path, crafted: Callable[[Path], bytes]) -> None:
    mark = tmp_path / "executed"
    (tmp_path / "ladder.db").write_bytes(crafted(mark))
    with pytest.raises(WORDS):
        reading.standing(tmp_path / "ladder.db")
    assert not mark.exists()


def test_an_engine_that_only_a_ladder_names_is_not_started(tmp_path: Path) -> None:
    """Who plays is named on the command line; a player of the file alone is a name with games."""
    path, mark = tmp_path / "ladder.db", tmp_path / "executed"
    with closing(Records(path, {"game": "go?size=5"})):
        pass
    with closing(sqlite3.connect(path)) as base:
        for number, spec in enumerate((f"gtp:touch {mark}", "random"), 1):
            base.execute("insert into players values (?, ?, '', 0, 0, 0)", (number, spec))
        base.execute("insert into pairings values (1, 0, 1, 2, 0, 1)")
        game = (1, 1, 0, 1, 2, 0, "[]", "[]", 1, "", 5, 0, 0.0)
        base.execute(f"insert into games values ({', '.join('?' * len(game))})", game)
        base.commit()
    with suppress(*WORDS):
        assert [e.spec for e in reading.standing(path).entries] == [f"gtp:touch {mark}", "random"]
    assert not mark.exists()


def test_compiled_programs_lie_outside_of_run_folders(
    template: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A cache of compiled programs is code: the installation or the user says where it is."""
    cache = Path(pins.__file__).resolve().parent.parent / ".jax_cache"
    assert not list(template.rglob("*cache*"))
    monkeypatch.delenv("JAX_COMPILATION_CACHE_DIR", raising=False)
    monkeypatch.setattr("sys.modules", {})  # as before JAX
    pins.pin()
    assert os.environ["JAX_COMPILATION_CACHE_DIR"] == str(cache)
