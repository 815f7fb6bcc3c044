"""Plots of a ladder: every player is drawn once, and every name can be read."""

from __future__ import annotations

from itertools import combinations
from pathlib import Path

import matplotlib as mpl
import numpy as np
import pytest
from matplotlib.colors import to_rgb
from matplotlib.text import Text

from selfplay.ladder import rating_plot
from tests.selfplay.ladder.states import ENGINE, chain_state

RUNS = ["/tmp/x/runs/a", "/tmp/y/runs/a", "studies/_b", "studies/$c^$"]
VERSIONS = [f"{run}@{v}?sims={sims}" for run in RUNS for sims in (0, 64) for v in (1, 2, 3, 4)]
NEIGHBORS = [f"rollouts?sims={sims}" for sims in range(1, 13)]


@pytest.mark.parametrize(
    "specs",
    [
        ["solver", *VERSIONS, *NEIGHBORS, ENGINE, "random"],
        ["solver", *VERSIONS[:8], *NEIGHBORS],
        ["solver", *(f"runs/{i}/seed@{v}?sims=0" for i in range(12) for v in (1, 2))],
        ["solver", *NEIGHBORS, ENGINE],
    ],
    ids=["runs and budgets", "budgets", "many runs", "no runs"],
)
def test_names_neither_overlap_nor_contain_paths(specs: list[str]) -> None:
    before = dict(mpl.rcParams)
    figure = rating_plot.plot(chain_state(specs), "a title")
    figure.draw_without_rendering()
    assert dict(mpl.rcParams) == before, "the user's settings are restored"
    (axes,) = figure.axes
    texts = [*axes.texts, axes.title, axes.xaxis.label, axes.yaxis.label]
    for axis in (axes.xaxis, axes.yaxis):
        low, high = axis.get_view_interval()
        places = zip(axis.get_majorticklabels(), axis.get_majorticklocs(), strict=True)
        texts += [label for label, place in places if low <= place <= high]
    for legend in figure.legends:
        texts += [*legend.get_texts(), legend.get_title()]
    texts = [text for text in texts if text.get_text()]
    boxes = [Text.get_window_extent(text) for text in texts]  # without an annotation's arrow
    for (text, box), (other, other_box) in combinations(zip(texts, boxes, strict=True), 2):
        assert not box.overlaps(other_box), (text.get_text(), other.get_text())
    for box in boxes:
        assert figure.bbox.x0 <= box.x0 and box.x1 <= figure.bbox.x1
        assert figure.bbox.y0 <= box.y0 and box.y1 <= figure.bbox.y1
    assert not any("/tmp" in text.get_text() or "studies" in text.get_text() for text in texts)


def test_lines_differ_and_have_contrast() -> None:
    figure = rating_plot.plot(chain_state(["solver", *VERSIONS, "random"]), "")
    drawn = [line for line in figure.axes[0].lines if str(line.get_marker()) in rating_plot.MARKERS]
    assert len({(line.get_color(), line.get_marker()) for line in drawn}) == 8
    assert [text.get_text() for text in figure.legends[0].get_texts()] == [
        "x/runs/a",
        "y/runs/a",
        " _b",
        r"\$c^\$",
        "raw network",
        "64 simulations",
    ]
    for line in figure.axes[0].lines:
        channels = np.array(to_rgb(line.get_color()))
        linear = np.where(channels > 0.04045, ((channels + 0.055) / 1.055) ** 2.4, channels / 12.92)
        assert 1.05 / (linear @ [0.2126, 0.7152, 0.0722] + 0.05) >= 3


def test_plot_ignores_a_matplotlibrc() -> None:
    state = chain_state(["solver", *VERSIONS, "random"])
    plain = rating_plot.to_png(state, "")
    with mpl.rc_context({"savefig.facecolor": "black", "lines.linewidth": 9, "axes.grid": True}):
        assert rating_plot.to_png(state, "") == plain


def test_spread_names_keep_their_order_and_distance() -> None:
    rng = np.random.default_rng(0)
    for count, gap in ((1, 0.1), (8, 0.1), (20, 0.05), (5, 0.0), (30, 0.1)):
        wanted = rng.uniform(0, 1, count) ** 3
        places = np.array(rating_plot.spread(wanted.tolist(), gap))
        order = np.argsort(wanted)
        assert (np.diff(places[order]) >= gap - 1e-9).all()
        assert places.min() >= -1e-9 and places.max() <= max(1, gap * (count - 1)) + 1e-9
    assert rating_plot.spread([0.1, 0.9, 0.5], 0.05) == pytest.approx([0.1, 0.9, 0.5])
    assert rating_plot.spread([], 0.1) == []


def test_each_budget_of_a_run_is_a_line(tmp_path: Path) -> None:
    versions = [f"runs/a@{number}?sims={budget}" for budget in (0, 4) for number in (1, 2)]
    state = chain_state(["solver", *versions])
    figure = rating_plot.plot(state, "a title")
    figure.savefig(tmp_path / "plot.png")
    axes = figure.axes[0]
    assert axes.get_xscale() == "log" and [t.get_text() for t in axes.texts] == ["solver"]
    labels = [text.get_text() for text in figure.legends[0].get_texts()]
    assert labels == ["raw network", "4 simulations"]
    assert figure.legends[0].get_title().get_text() == "a"
    elo = {e.spec: r for e, r in zip(state.entries, state.ratings.elo, strict=True)}
    lines = [line.get_ydata() for line in axes.lines if np.size(line.get_xdata()) == 2]
    expected = [elo["runs/a@1?sims=0"], elo["runs/a@2?sims=0"]]
    assert any(np.allclose(line, expected) for line in lines)


def test_long_names_are_shortened() -> None:
    engine = "gtp:/usr/games/gnugo --mode gtp --chinese-rules --never-resign --level 10"
    assert rating_plot.shortened(engine) == "gnugo … --never-resign --level 10"
    assert rating_plot.shortened(engine, 20) == "gnugo … --level 10"
    assert rating_plot.shortened("gtp:gnugo --level 1") == "gnugo --level 1"
    assert rating_plot.shortened("random") == "random"
    assert rating_plot.shortened("studies/run/imitation (sims=64)", 20) == "…imitation (sims=64)"
