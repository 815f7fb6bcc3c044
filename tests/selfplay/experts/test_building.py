"""Building archives from files: counts of all games, reproducible bytes, a clean split."""

from __future__ import annotations

import gzip
import random
import tempfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from selfplay.experts import archive, building, selection, writer
from selfplay.experts.archive import ExpertArchive
from selfplay.experts.building import GameSource
from selfplay.experts.filters import Filters
from selfplay.experts.game_record import ExpertGame, Rejected
from selfplay.experts.sgf import reader
from selfplay.generated import importing
from selfplay.runs.files import TEMPORARY
from tests.selfplay.experts.records import GAME, NAME, random_moves, write
from tests.selfplay.experts.records import sgf as record

GOOD = [record(random_moves(seed, most=8 + seed % 7)) for seed in range(30)]


def silent(what: str, done: int, total: int) -> None:
    assert 0 <= done <= total


def run(
    out: Path, *paths: Path, filters: Filters | None = None, held_out: float = 0.3
) -> archive.Manifest:
    filters = filters or Filters()
    return importing.import_sgf(out, NAME, GAME, paths, filters, held_out, silent)[0]


def image(moves: Sequence[int], s: int) -> list[int]:
    actions = GAME.symmetries().actions[s]
    return [int(np.flatnonzero(actions == move)[0]) for move in moves]


def test_import_keeps_every_good_game(tmp_path: Path) -> None:
    manifest = run(tmp_path / "out", write(tmp_path / "a.sgf", *GOOD))
    experts = ExpertArchive(tmp_path / "out")
    assert manifest["kept"] == len(GOOD) == len(experts.games["rows"])
    assert experts.size == manifest["positions"] == sum(text.count(b";") - 1 for text in GOOD)
    assert experts.fields["last"].sum() == len(GOOD)
    assert (np.diff(experts.games["plies"]) >= 0).all()  # a batch wastes little
    experts.check()
    assert not list(tmp_path.glob(f"{TEMPORARY}*"))


def test_source_stats_give_a_reason_for_every_game(tmp_path: Path) -> None:
    one = write(
        tmp_path / "a.sgf", GOOD[0], GOOD[1], record([0, 0]), record([1, 24, 5, 0]),
        b"(;GM[1]SZ[9];B[aa])", b"(;GM[1]SZ[5];B[aa", record([3, 4], result=""),
        record([2, 3], komi="-4"), record([7, 25, 25, 7, 8]),
    )  # fmt: skip
    two = write(tmp_path / "b.sgf", GOOD[0], b"(;SZ[5];B[aa]W[bb])", record([]))
    manifest = run(tmp_path / "out", one, two, write(tmp_path / "c.sgf", b"?"))
    assert manifest["files"] == [
        {
            "name": str(one), "sha256": manifest["files"][0]["sha256"], "games": 9, "kept": 5,
            "left_out": {"an illegal move": 2, "another board size": 1, "truncated": 1},
        },
        {
            "name": str(two), "sha256": manifest["files"][1]["sha256"], "games": 3, "kept": 0,
            "left_out": {"duplicate": 1, "no moves": 1, "two moves in one node": 1},
        },
        {
            "name": str(tmp_path / "c.sgf"), "sha256": manifest["files"][2]["sha256"], "games": 1,
            "kept": 0, "left_out": {"a file without a game": 1},
        },
    ]  # fmt: skip
    assert manifest["notes"] == {
        reader.CUT: 1, "value not taught: no result": 1, f"value not taught: {reader.HIDDEN}": 1,
    }  # fmt: skip


pieces = st.sampled_from([b"(", b")", b";", b"[", b"]", b"\\", b"\x00", b"\xff", b"(;", b"B[aa]"])


@settings(
    max_examples=25, deadline=None, derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)  # fmt: skip
@given(
    st.lists(
        st.tuples(st.integers(0, len(GOOD) - 1), st.integers(0, 90), st.integers(0, 9), pieces),
        min_size=1,
        max_size=8,
    ),
    st.booleans(),
)
def test_damaged_records_never_stop_an_import_and_always_add_up(
    tmp_path: Path, damage: list[tuple[int, int, int, bytes]], cut: bool
) -> None:
    texts = []
    for number, at, length, new in damage:
        text = GOOD[number]
        texts.append(text[:at] + new + text[at + length :])
    data = gzip.compress(b"\n".join([*texts, GOOD[0]]))
    path = write(tmp_path / "a.sgf.gz", data[: len(data) - 12 * cut])
    whole = write(tmp_path / "b.sgf", GOOD[1], GOOD[0])
    out = Path(tempfile.mkdtemp(dir=tmp_path)) / "out"
    manifest = run(out, path, whole)
    for counts in [*manifest["files"], {**manifest, "games": None}]:
        games = counts["games"] or sum(file["games"] for file in manifest["files"])
        assert games == counts["kept"] + sum(counts["left_out"].values())
    assert manifest["files"][0]["games"] >= 1 and manifest["files"][1]["games"] == 2
    ExpertArchive(out).check()


def test_archive_bytes_do_not_depend_on_the_order_of_games(tmp_path: Path) -> None:
    one = write(tmp_path / "a.sgf", *GOOD[:20])
    two = write(tmp_path / "b.sgf", *GOOD[10:])
    both = write(tmp_path / "z.sgf", *GOOD[::-1])
    first = run(tmp_path / "1", one, two)
    second = run(tmp_path / "2", two, one)
    third = run(tmp_path / "3", both)
    assert first["digest"] == second["digest"] == third["digest"]
    for file in (tmp_path / "1").iterdir():
        assert file.read_bytes() == (tmp_path / "2" / file.name).read_bytes(), file.name
    assert run(tmp_path / "4", both, held_out=0.2)["digest"] == first["digest"]
    other = write(tmp_path / "y.sgf", *GOOD[:-1])
    assert run(tmp_path / "5", other)["digest"] != first["digest"]


def test_deduplicate_keeps_the_game_with_most_to_learn(tmp_path: Path) -> None:
    moves = random_moves(1, most=12)
    records = [
        record(image(moves, 3), result=""),
        record(image(moves, 5), result="W+R", komi="6.5"),
        record(moves, result="W+R", komi="-1"),
    ]
    for order in (records, records[::-1]):
        out = tmp_path / f"{len(list(tmp_path.iterdir()))}"
        manifest = run(out, write(tmp_path / "a.sgf", *order))
        assert manifest["kept"] == 1 and manifest["left_out"] == {selection.DUPLICATE.reason: 2}
        experts = ExpertArchive(out)
        assert experts.games["komi"].tolist() == [6.5] and experts.games["outcome"].tolist() == [-1]
        assert experts.games["taught"].all()
        (tmp_path / "a.sgf").unlink()


def test_split_keeps_images_together_and_never_changes(
    tmp_path: Path,
) -> None:
    games = [random_moves(seed, most=10) for seed in range(24)]
    draw = random.Random(0)
    turned = [image(moves, draw.randrange(8)) for moves in games]
    few = write(tmp_path / "few.sgf", *map(record, games[:12]))
    many = write(tmp_path / "many.sgf", *map(record, turned), *map(record, games[6:]))
    run(tmp_path / "1", few)
    manifest = run(tmp_path / "2", many)
    assert manifest["kept"] == 24 and manifest["left_out"] == {selection.DUPLICATE.reason: 18}
    small, large = ExpertArchive(tmp_path / "1"), ExpertArchive(tmp_path / "2")

    def sample_hashes(split: archive.Split) -> set[int]:
        return set(split.archive.games["order"][split.games].tolist())

    assert sample_hashes(small.train) <= sample_hashes(large.train)
    assert sample_hashes(small.held_out) <= sample_hashes(large.held_out)
    assert sample_hashes(small.held_out) and sample_hashes(small.train)
    assert not sample_hashes(large.train) & sample_hashes(large.held_out)


WEAK, NOT_KNOWN = "filter: not strong enough", "filter: strength not known"
RATED = (
    record([0, 1, 2], more="BR[2100]WR[1900]"),
    record([1, 2, 3], more="BR[2100]WR[2300]PB[:AyaBot]"),
    record([2, 3, 4, 5], more="BR[3d]WR[1d]"),
    record([3, 4, 5, 6], more="BR[3k]WR[2d]", result=""),
    record([4, 5, 6, 7, 8], more="BR[?]WR[9p]"),
)


@pytest.mark.parametrize(
    ("filters", "kept", "why"),
    [
        (Filters(), 5, {}),
        (Filters(min_rating=2000), 1, {WEAK: 1, NOT_KNOWN: 3}),
        (Filters(min_rank="1d"), 1, {WEAK: 1, NOT_KNOWN: 3}),
        (Filters(min_rating=2000, min_rank="1d"), 2, {WEAK: 2, NOT_KNOWN: 1}),
        (Filters(result_known=True), 4, {"filter: no result": 1}),
        (Filters(min_plies=4), 3, {"filter: less than 4 moves": 2}),
        (Filters(no_bots=True), 4, {"filter: a bot plays": 1}),
        (Filters(max_games=2), 2, {selection.SURPLUS.reason: 3}),
    ],
)  # fmt: skip
def test_filters_count_rejected_games_by_reason(
    tmp_path: Path, filters: Filters, kept: int, why: dict[str, int]
) -> None:
    manifest = run(tmp_path / "out", write(tmp_path / "a.sgf", *RATED), filters=filters)
    assert (manifest["kept"], manifest["left_out"]) == (kept, why)


def test_mover_filter_keeps_only_moves_of_strong_players(tmp_path: Path) -> None:
    path = write(tmp_path / "a.sgf", *RATED, record([9], more="BR[1k]WR[9d]"))
    filters = Filters(min_rating=2000, min_rank="2d", strength_applies_to="mover")
    manifest = run(tmp_path / "out", path, filters=filters)
    assert manifest["left_out"] == {building.NO_ROWS.reason: 1}
    experts = ExpertArchive(tmp_path / "out")
    rows = experts.gather(np.arange(experts.size))
    actions = {int(key): [] for key in experts.games["start"]}
    starts = np.sort(experts.games["start"])
    for at, action in enumerate(rows["action"]):
        actions[int(starts[np.searchsorted(starts, at, side="right") - 1])].append(int(action))
    expected = [[0, 2], [1, 2, 3], [2, 4], [4, 6], [5, 7]]
    assert sorted(actions.values()) == expected
    assert rows["last"].sum() == 5


def test_max_games_keeps_the_least_sample_hashes(tmp_path: Path) -> None:
    few, many = write(tmp_path / "few.sgf", *GOOD[:20]), write(tmp_path / "many.sgf", *GOOD[::-1])
    run(tmp_path / "1", few, filters=Filters(max_games=8))
    run(tmp_path / "2", many, filters=Filters(max_games=8))
    run(tmp_path / "3", few)
    run(tmp_path / "4", many)
    orders = [sorted(ExpertArchive(tmp_path / name).games["order"]) for name in "1234"]
    assert orders[0] == orders[2][:8] and orders[1] == orders[3][:8]


def test_zero_komi_is_distrusted_if_most_margins_have_half_a_point(tmp_path: Path) -> None:
    denied = [record([0, 1], komi="0", result="B+5.5"), record([1, 2], komi="0", result="B+R")]
    denied += [record([2, 3], komi="0", result="W+3"), record([3, 4], komi="6.5", result="W+R")]
    denied += [record([4, 5], komi="0", result="W+8.5")]
    run(tmp_path / "1", write(tmp_path / "a.sgf", *denied))
    table = ExpertArchive(tmp_path / "1").games
    assert table["taught"].sum() == 1 and set(table["komi"]) == {GAME.komi, 6.5}
    run(tmp_path / "2", write(tmp_path / "b.sgf", *denied[:4]))
    table = ExpertArchive(tmp_path / "2").games
    assert table["taught"].sum() == 3 and set(table["komi"]) == {0.0, 6.5}


def test_build_never_overwrites_a_folder(tmp_path: Path) -> None:
    path, out = write(tmp_path / "a.sgf", *GOOD), tmp_path / "out"
    first = run(out, path)
    again, existed = importing.import_sgf(out, NAME, GAME, [path], Filters(), 0.3, silent)
    assert existed and again["digest"] == first["digest"]
    moved = write(tmp_path / "moved.sgf", *GOOD)
    assert importing.import_sgf(out, NAME, GAME, [moved], Filters(), 0.3, silent)[1]
    with pytest.raises(ValueError, match=r"another import \(different: filters\)"):
        run(out, path, filters=Filters(no_bots=True))
    with pytest.raises(ValueError, match=r"another import \(different: held_out\)"):
        run(out, path, held_out=0.1)
    with pytest.raises(ValueError, match=r"another import \(different: contents\)"):
        run(out, write(path, *GOOD[:9]))
    (tmp_path / "thesis").mkdir()
    (tmp_path / "thesis" / "x.txt").write_text("precious")
    with pytest.raises(ValueError, match="exists and is not an archive"):
        run(tmp_path / "thesis", path)
    (tmp_path / "empty").mkdir()
    run(tmp_path / "empty", path)


def test_interrupted_import_leaves_no_archive(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, out = write(tmp_path / "a.sgf", *GOOD), tmp_path / "sub" / "out"

    def interrupted(*arguments: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(writer, "write_hashed_json", interrupted)
        with pytest.raises(KeyboardInterrupt):
            run(out, path)
    assert list((tmp_path / "sub").iterdir()) == []
    rest = out.parent / f"{TEMPORARY}out"  # of a process that was killed
    rest.mkdir()
    (rest / "planes.npy").write_text("")
    (rest / f"{TEMPORARY}1-games.npz").write_text("")
    run(out, path)
    assert [file.name for file in out.parent.iterdir()] == ["out"]
    assert not list(out.glob(f"{TEMPORARY}*")) and not (out / "lock").exists()


def test_concurrent_imports_do_not_interfere(tmp_path: Path) -> None:
    path = write(tmp_path / "a.sgf", *GOOD)
    with writer.Writer(tmp_path / "a-out"):
        run(tmp_path / "out", path)
        with pytest.raises(ValueError, match="is being written by another process"):
            run(tmp_path / "a-out", path)
        assert (tmp_path / f"{TEMPORARY}a-out").exists()
    run(tmp_path / "a-out", path)


def test_unwritable_folder_is_rejected_before_reading(tmp_path: Path) -> None:
    def source() -> list[ExpertGame | Rejected]:
        raise AssertionError("read")

    (tmp_path / "file").write_text("")
    game_sources = [GameSource(selection.SourceStats("x"), source)]
    with pytest.raises(OSError, match="file"):
        building.build(tmp_path / "file/out", NAME, GAME, game_sources, {}, 0.1, Filters(), silent)


def test_archive_is_written_to_the_target_of_a_link(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to("there")
    run(tmp_path / "link", write(tmp_path / "a.sgf", *GOOD))
    assert (tmp_path / "link").is_symlink() and ExpertArchive(tmp_path / "there").size


def test_archive_without_games_is_an_error_with_reasons(tmp_path: Path) -> None:
    path = write(tmp_path / "a.sgf", b"(;GM[1]SZ[9];B[aa])", record([0, 0]))
    with pytest.raises(ValueError, match="none of 2 games is kept: another board size") as error:
        run(tmp_path / "out", path)
    assert "an illegal move (1)" in str(error.value)
    assert not (tmp_path / "out").exists()


def test_komi_of_the_game_applies_to_records_without_komi(tmp_path: Path) -> None:
    path = write(tmp_path / "a.sgf", b"(;SZ[5]RE[B+R];B[aa])", record([1], komi="7"))
    game = replace(GAME, komi=5.5)
    importing.import_sgf(tmp_path / "o", "go?size=5&komi=5.5", game, [path], Filters(), 0, silent)
    table = ExpertArchive(tmp_path / "o").games
    assert sorted(zip(table["komi"], table["taught"], strict=True)) == [(5.5, False), (7.0, True)]
