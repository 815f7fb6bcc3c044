"""The command: one sentence for bad input before any work, tables and a plot for good."""

from __future__ import annotations

import io
import re
from pathlib import Path

import matplotlib as mpl
import pytest
from rich.console import Console

from selfplay.experts import archive_plot, summary
from selfplay.experts.archive import ExpertArchive
from tests.selfplay.experts.records import random_moves, write
from tests.selfplay.experts.records import sgf as record
from tests.selfplay.report.test_figures import contrast
from tests.small_runs import assert_rejected

BAD = {
    "command": ("export", "export"),
    "game": ("import chess {file} --out {new}", "unknown game 'chess' (did you mean 'pgx:chess'?)"),
    "no go": ("import connect_four {file} --out {new}", "SGF records are of go, not of"),
    "size": ("import go25x25 {file} --out {new}", "size=25 is out of range; choose 2..19"),
    "oblong": ("import go9x13 {file} --out {new}", "square boards here; write go9x9"),
    "no file": ("import go5x5 --out {new}", "no file to import; name SGF files"),
    "nowhere": ("import go5x5 {new}/x --out {new}", "x does not exist; name SGF files, folders"),
    "no records": ("import go5x5 {other} --out {new}", "holds no file that ends in .sgf"),
    "out": ("import go5x5 {file} --out {other}", "exists and is not an archive of expert games"),
    "under a file": ("import go5x5 {file} --out {file}/x", "x: a part of its path is a file"),
    "no out": ("import go5x5 {file}", "--out"),
    "rank": ("import go5x5 {file} --out {new} --min-rank strong", "'strong' is not a rank; write"),
    "rating": ("import go5x5 {file} --out {new} --min-rating 1d", "1d"),
    "mover": (
        "import go5x5 {file} --out {new} --strength-applies-to mover",
        "needs --min-rating or --min-rank",
    ),
    "player": ("import go5x5 {file} --out {new} --strength-applies-to black", "black"),
    "plies": ("import go5x5 {file} --out {new} --min-plies -1", "must not be negative, got -1"),
    "share": ("import go5x5 {file} --out {new} --held-out 1", "must be in [0, 1), got 1.0"),
    "solver": ("generate go5x5 --out {new}", "there is no perfect player of"),
    "blunder": ("generate tic_tac_toe --blunder 2 --out {new}", "must be in [0, 1], got 2.0"),
    "games": ("generate tic_tac_toe --games 0 --out {new}", "must be at least 1, got 0"),
    "processes": ("generate tic_tac_toe --processes 0 --out {new}", "must be at least 1, got 0"),
    "positions": ("positions go5x5 {file} --out {new}", "are of connect_four (6×7), not of"),
    "values": ("positions connect_four {new} --out {new}", "cannot be read"),
    "lines": ("positions connect_four {file} --out {new}", "none of 1 games is kept: not 42 cells"),
    "inspect": ("inspect {other}", "is not an archive of expert games"),
    "name": ("inspect nothing_of_this_name", "experts/nothing_of_this_name is not an archive"),
}


def test_experts_rejects_bad_input_and_makes_an_archive(tmp_path: Path) -> None:
    other, new = tmp_path / "other", tmp_path / "new"
    other.mkdir()
    (other / "thesis.txt").write_text("precious")
    (tmp_path / "[").mkdir()  # a path is no markup
    file = write(tmp_path / "[" / "b]", *(record(random_moves(s, 9)) for s in range(12)))
    solo = write(tmp_path / "solo.sgf", b"(;)")
    made = str(tmp_path / "made")
    good = [
        ["import", "go5x5", str(file), "--out", made, "--held-out", "0.3"],
        ["import", "go?size=5", str(file), "--out", made, "--held-out", "0.3"],
        ["inspect", made],
        ["import", "go5x5", str(file), "--out", made],
    ]
    bad = {
        name: (text.format(other=other, new=new, file=solo if name == "lines" else file), said)
        for name, (text, said) in BAD.items()
    }
    bad = {name: (text.split(), said) for name, (text, said) in bad.items()}
    first, again, shown, differs = assert_rejected("launch.experts", bad, good)
    assert not new.exists()
    assert [path.name for path in other.iterdir()] == ["thesis.txt"]

    assert first[0] == again[0] == shown[0] == 0, (first, again, shown)
    assert "12 games, 108 positions in" in first[1]
    assert "complete before; nothing was done" in again[1]
    assert "training" in shown[1] and "first moves" in shown[1]
    assert (tmp_path / "made" / "inspect.png").read_bytes()[:4] == b"\x89PNG"
    assert differs[0] == 2 and "different: held_out" in differs[1]


@pytest.fixture(scope="module")
def experts(tmp_path_factory: pytest.TempPathFactory) -> ExpertArchive:
    from games.go import Go
    from selfplay.experts.filters import Filters
    from selfplay.generated import importing

    path = tmp_path_factory.mktemp("command")
    games = [
        record([12, s % 5, 13 + s], more=f"BR[{s}k]WR[{2000 + s}]", komi=f"{6 + s % 2}",
               result=("B+R", "W+R", "0", "")[s % 4]) for s in range(1, 13)
    ]  # fmt: skip
    file = write(path / "a.sgf", *games, b"(;SZ[9];B[aa])", b"(;SZ[5])")
    importing.import_sgf(path / "o", "go?size=5", Go(5), [file], Filters(), 0.4, lambda *a: None)
    return ExpertArchive(path / "o")


def printed(*tables: object) -> str:
    console = Console(width=200, file=io.StringIO())
    for table in tables:
        console.print(table)
    return console.file.getvalue()  # pyright: ignore


def cells(text: str, row: str) -> list[str]:
    (line,) = (line for line in text.splitlines() if line.strip("│ ").startswith(row))
    return [cell.strip() for cell in line.strip("│").split("│")]


def test_tables_count_the_games_of_an_archive(experts: ExpertArchive) -> None:
    text = printed(summary.source_counts(experts.manifest))
    assert re.search(r"14 │ +12 │ +2 ", text) and "1 another board size" in text, text
    sizes = printed(summary.sizes(experts))
    train, held_out = cells(sizes, "training"), cells(sizes, "held out")
    assert int(train[1]) + int(held_out[1]) == 12
    assert int(train[2]) + int(held_out[2]) == experts.size
    strengths = printed(summary.strengths(experts))
    assert cells(strengths, "rank of Black")[1:] == ["12", "12k", "11k", "6k", "2k", "1k"]
    assert cells(strengths, "rating of White")[-1] == "2012"
    results = printed(summary.results(experts))
    assert cells(results, "6 ") == ["6", "6", "50.0%", "50.0%", "0.0%", "0"]
    assert cells(results, "7 ") == ["7", "3", "0.0%", "0.0%", "100.0%", "0"]
    assert cells(results, "value")[1:] == ["3", "", "", "", "3"]
    openings = printed(summary.openings(experts))
    assert cells(openings, "C3")[:3] == ["C3", "12", "100.0%"]


def test_plot_has_a_panel_for_each_property(experts: ExpertArchive) -> None:
    figure = archive_plot.plot(experts)
    titles = [axes.get_title() for axes in figure.axes if axes.get_visible()]
    assert titles == [
        "length", "ratings", "ranks", "results", "first move, % of games, spread over its images",
        "held-out positions never in training",
    ]  # fmt: skip
    figure.canvas.draw()


def test_plot_colors_have_a_contrast_of_three(experts: ExpertArchive) -> None:
    colors = []
    for axes in archive_plot.plot(experts).axes:
        colors += [line.get_color() for line in axes.lines]
        for patch in axes.patches:
            colors.append(patch.get_facecolor() if patch.get_fill() else patch.get_edgecolor())
    assert len(colors) > 20 and all(contrast(color) >= 3 for color in colors)
    assert contrast(archive_plot.COLORS[1]) < 4 < 12 < contrast(archive_plot.COLORS[0]), (
        "Black is not White"
    )


def test_plot_ignores_the_settings_of_matplotlib(experts: ExpertArchive) -> None:
    plain = archive_plot.to_png(experts)
    with mpl.rc_context({"savefig.facecolor": "black", "lines.linewidth": 9, "axes.grid": True}):
        mine = dict(mpl.rcParams)
        assert archive_plot.to_png(experts) == plain
        assert dict(mpl.rcParams) == mine
