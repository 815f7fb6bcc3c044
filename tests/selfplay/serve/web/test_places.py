"""What the page may show: folders by name, and nothing else of the disk."""

from __future__ import annotations

from pathlib import Path

import pytest

from selfplay.serve.web.places import Places, named


def run_in(folder: Path) -> Path:
    folder.mkdir(parents=True)
    (folder / "config.json").write_text("{}")
    return folder


def test_runs_ladders_and_studies_are_found_by_their_names(tmp_path: Path) -> None:
    run = run_in(tmp_path / "runs" / "a")
    study = tmp_path / "study"
    inner = run_in(study / "runs" / "b")
    (study / "study.json").write_text("{}")
    (study / "ladders" / "x").mkdir(parents=True)
    (study / "ladders" / "x" / "ladder.db").write_text("")
    places = Places.find([tmp_path / "runs", study])
    assert places.runs == {"runs/a": run, "study/runs/b": inner}
    assert places.ladders == {"study/ladders/x": study / "ladders" / "x"}
    assert places.studies == {"study": study}


def test_folders_of_one_name_are_told_apart(tmp_path: Path) -> None:
    one, two = run_in(tmp_path / "a" / "runs" / "x"), run_in(tmp_path / "b" / "runs" / "x")
    places = Places.find([tmp_path / "a" / "runs", tmp_path / "b" / "runs"])
    assert places.runs == {"runs/x": one, f"{tmp_path / 'b' / 'runs'}/x": two}


def test_folder_that_is_named_twice_is_shown_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    one, two = run_in(tmp_path / "a" / "runs" / "x"), run_in(tmp_path / "runs" / "x")
    monkeypatch.chdir(tmp_path)
    places = Places.find([Path("a/runs"), Path("runs"), Path("runs/../runs")])
    assert places.runs == {"runs/x": one, f"{tmp_path / 'runs'}/x": two}


def test_links_out_of_a_folder_are_not_followed(tmp_path: Path) -> None:
    run_in(tmp_path / "secret" / "run")
    shown = tmp_path / "shown"
    shown.mkdir()
    (shown / "link").symlink_to(tmp_path / "secret")
    assert Places.find([shown]).runs == {}


@pytest.mark.parametrize(
    "name", ["../secret/run", "/etc", "shown/../secret/run", "", "shown/a\x00", "SHOWN/a", "."]
)
def test_other_names_are_refused(tmp_path: Path, name: str) -> None:
    run_in(tmp_path / "secret" / "run")
    run_in(tmp_path / "shown" / "a")
    places = Places.find([tmp_path / "shown"])
    assert named(places.runs, "shown/a") == tmp_path / "shown" / "a"
    with pytest.raises(ValueError, match="here"):
        named(places.runs, name)


def test_what_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="neither a folder nor"):
        Places.find([tmp_path / "absent"])
    (tmp_path / "text.txt").write_text("")
    with pytest.raises(ValueError, match="neither a folder nor"):
        Places.find([tmp_path / "text.txt"])
