"""Import paths: followed only if trusted, checked before use, with options of declared types."""

from __future__ import annotations

import importlib.metadata
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from games import plugins
from games.plugins import Kind
from games.source_digest import Source

KIND = Kind("loss", "oomzero.losses", ("mean", "median"), "or none at all")
PATH = "user_losses:reply"


@pytest.fixture(autouse=True)
def _fresh_process(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    """Gives each test a process that trusts nothing, in an empty working directory."""
    monkeypatch.setattr(plugins._Trust, "paths", set())
    monkeypatch.setattr(plugins._Trust, "everything", False)
    monkeypatch.setattr(plugins._Trust, "followed", {})
    monkeypatch.setattr(sys, "path", list(sys.path))
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    monkeypatch.chdir(tmp_path)
    plugins._registered.cache_clear()
    before = set(sys.modules)
    yield
    plugins._registered.cache_clear()
    for name in set(sys.modules) - before:
        del sys.modules[name]


def write(folder: Path, name: str = "user_losses", source: str = "def reply(): pass") -> None:
    folder.mkdir(exist_ok=True)
    (folder / f"{name}.py").write_text(source)


def load(name: str = PATH) -> object:
    return plugins.load(KIND, name, callable, "a function")


def register(monkeypatch: pytest.MonkeyPatch, folder: Path, value: str) -> None:
    """Installs a distribution into `folder` that registers "huber" by an entry point."""
    about = folder / "huber-1.0.dist-info"
    about.mkdir(parents=True)
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: huber\nVersion: 1.0\n")
    (about / "entry_points.txt").write_text(f"[{KIND.group}]\nhuber = {value}\n")
    monkeypatch.syspath_prepend(str(folder))


def test_builtin_and_registered_names_are_known(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    register(monkeypatch, tmp_path / "installed", PATH)
    assert plugins.names(KIND) == ("mean", "median", "huber")
    for name in plugins.names(KIND):
        plugins.check(KIND, name)


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("mode", "unknown loss 'mode'.*choose from mean, median, or none at all, or write"),
        ("medain", r"\(did you mean 'median'\?\)"),
        ("os.path", "unknown loss 'os.path'"),
        ("a:b:c", "unknown loss 'a:b:c'"),
        ("../x:y", "unknown loss"),
        ("1x:y", "unknown loss"),
        (PATH, "loss 'user_losses:reply' is an import path that nobody typed.*--trust-imports"),
    ],
)
def test_unknown_or_untrusted_name_is_rejected(name: str, sentence: str) -> None:
    write(Path.cwd(), source="raise SystemExit('imported')")
    for refuse in (lambda: plugins.check(KIND, name), lambda: load(name)):
        with pytest.raises(ValueError, match=sentence):
            refuse()


def test_check_imports_nothing() -> None:
    write(Path.cwd(), source="raise SystemExit('imported')")
    plugins.trust([PATH])
    plugins.check(KIND, PATH)
    assert "user_losses" not in sys.modules and plugins.followed() == ()


def test_trust_is_for_the_path_that_was_typed() -> None:
    write(Path.cwd(), source="def reply(): pass\ndef other(): pass")
    plugins.trust([f"{PATH}?weight=1"])
    assert load().__name__ == "reply"  # pyright: ignore[reportAttributeAccessIssue]
    with pytest.raises(ValueError, match="'user_losses:other' is an import path that nobody typed"):
        load("user_losses:other")
    plugins.trust_all()
    assert callable(load("user_losses:other"))
    assert [source.path for source in plugins.followed()] == ["user_losses:other", PATH]


def test_registered_name_is_imported_without_trust(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    write(tmp_path / "installed")
    register(monkeypatch, tmp_path / "installed", "user_losses : reply")
    assert load("huber") is sys.modules["user_losses"].reply
    assert [source.path for source in plugins.followed()] == [PATH]


def test_name_of_an_existing_folder_is_not_a_typed_path(tmp_path: Path) -> None:
    """A stranger's run folder may be called like a module that is in it."""
    (tmp_path / PATH).mkdir()
    for argument in (PATH, f"{PATH}?sims=64", f"--out={PATH}"):
        assert plugins.typed_paths([argument]) == []


@pytest.mark.parametrize("text", ["2026", "1e3", "true", "null", "x"])
def test_option_for_text_keeps_what_looks_like_json(text: str) -> None:
    assert plugins.parse_arguments("tracker", f"project={text}", {"project": str}) == {
        "project": text
    }


def test_option_of_another_type_is_rejected() -> None:
    types: dict[str, Any] = {"size": int | None}
    with pytest.raises(ValueError, match=r"option size is declared as int \| None; declare it as"):
        plugins.parse_arguments("game", "size=3", types)


def test_installed_module_hides_one_in_the_working_directory(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delitem(sys.modules, "colorsys", raising=False)
    write(Path.cwd(), "colorsys", "raise ImportError('from the working directory')")
    plugins.trust(["colorsys:rgb_to_hsv"])
    assert callable(load("colorsys:rgb_to_hsv"))


@pytest.mark.parametrize(
    ("path", "sentence"),
    [
        ("user_nothing:reply", "user_nothing cannot be imported.*installed, or a module in"),
        (
            "user_losses:repyl",
            r"user_losses \(.*\.py\) has no 'repyl' \(did you mean 'reply'\?\)",
        ),
        ("user_losses:number", "user_losses:number is not a loss: expected a function, got 3"),
        ("user_exits:reply", "the import of user_exits failed with SystemExit: 7"),
        ("user_losses.py:reply", r"user_losses\.py cannot be imported.*; write user_losses:reply"),
        ("user_needs:reply", r"user_needs needs the module 'user_nothing', which is not installed"),
    ],
)
def test_path_to_something_else_is_rejected(path: str, sentence: str) -> None:
    write(Path.cwd(), source="def reply(): pass\nnumber = 3")
    write(Path.cwd(), "user_needs", "import user_nothing")
    write(Path.cwd(), "user_exits", "raise SystemExit(7)")
    plugins.trust([path])
    with pytest.raises(ValueError, match=sentence):
        load(path)


def test_trusted_sources_are_found_in_their_folder(tmp_path: Path) -> None:
    folder = tmp_path / "elsewhere"
    write(folder)
    plugins.trust_sources([Source(PATH, "", "", str(folder))])
    assert callable(load())
    (source,) = plugins.followed()
    assert (source.path, source.version, source.folder) == (PATH, "", str(folder.resolve()))
    assert len(source.digest) == 64


def test_version_of_a_module_is_recorded() -> None:
    write(Path.cwd(), source="__version__ = '1.2'\ndef reply(): pass")
    plugins.trust([PATH])
    load()
    assert plugins.followed()[0].version == "1.2"
    plugins.trust(["pytest:fail"])
    load("pytest:fail")
    assert plugins.followed()[0].version == importlib.metadata.version("pytest")


@pytest.mark.parametrize(
    ("argument", "paths"),
    [
        ("my_games:Mine", ["my_games:Mine"]),
        ("my_games:Mine?size=5&komi=7", ["my_games:Mine"]),
        ("--game=a.b.c:Mine", ["a.b.c:Mine"]),
        ("game=a:B,c:D?x=1,hex", ["a:B", "c:D"]),
        ("--fix learner.losses=a:b?weight=1", ["a:b"]),
        ("go?size=9", []),
        ("pgx:othello", []),
        ("gtp:gnugo --mode gtp", []),
        ("http://host:80/x", []),
        ("C:\\runs\\a", []),
        ("runs/a:b", []),
        ("a:b.c", []),
    ],
)
def test_typed_paths_are_found(argument: str, paths: list[str]) -> None:
    assert plugins.typed_paths([argument]) == paths


TYPES = {"size": int, "weight": float, "swap": bool, "head": str}


def test_options_are_parsed_to_their_types() -> None:
    parsed = plugins.parse_arguments("x", "size=5&weight=1&swap=True&head=reply", TYPES)
    assert parsed == {"size": 5, "weight": 1, "swap": True, "head": "reply"}
    assert [type(value) for value in parsed.values()] == [int, int, bool, str]
    assert plugins.parse_arguments("x", "", TYPES) == {}
    assert plugins.parse_arguments("x", "weight=2.5e-1", TYPES) == {"weight": 0.25}


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("size=5.0", "x: option size=5.0 must be int, not float"),
        ("size=true", "x: option size=True must be int, not bool"),
        ("weight=heavy", "x: option weight='heavy' must be float, not str"),
        ("swap=1", "x: option swap=1 must be bool, not int"),
        ("sise=5", r"x has no option 'sise' \(did you mean 'size'\?\); choose from size, weight"),
        ("size=5&size=5", "x: an option is repeated: size, size"),
        ("size", "x: 'size' is not a list of options"),
    ],
)
def test_invalid_option_is_rejected(text: str, sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        plugins.parse_arguments("x", text, TYPES)


def test_options_of_a_function_are_its_keyword_only_parameters() -> None:
    def make(shape: tuple[int, ...], *, blocks: int = 4, name: str = "a", rate=0.5) -> None: ...

    assert plugins.keyword_types(make) == {"blocks": int, "name": str, "rate": float}


def test_options_from_two_sources_are_merged_once() -> None:
    assert plugins.merged("x", {"a": 1}, {"b": 2}) == {"a": 1, "b": 2}
    with pytest.raises(ValueError, match="x: an option is repeated: a, a"):
        plugins.merged("x", {"a": 1}, {"a": 2})
