"""Figures are styled by what varies, legible on white, and leave no settings behind."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from itertools import product
from typing import Any

import matplotlib as mpl
import numpy as np
import pytest
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection, PathCollection, PolyCollection
from matplotlib.colors import to_rgb
from matplotlib.lines import Line2D

from selfplay.report import comparison_section, figures, map_section, page, study_questions
from selfplay.report.evidence import Evidence
from selfplay.report.figures import LineStyles
from selfplay.report.findings import Finding
from selfplay.report.questions import answer_all
from selfplay.report.study_questions import OF_STUDY
from selfplay.scaling.factors import Factor
from selfplay.scaling.rated_versions import RatedVersions
from selfplay.style.figure_style import HUES, INK, PALE

Grid = tuple[RatedVersions, list[Factor]]


def grid(axes: dict[str, list[Any]] | None = None, seeds: int = 2) -> Grid:
    """Makes a crossed design with four versions a run, at 0 and 8 simulations.

    Larger values of an axis cost more. Elo rises by 400 per OOM of training; after equal training,
    the last value of an axis leads the others by 100.
    """
    rng = np.random.default_rng(0)
    axes = axes or {"network.width": [4, 16, 64], "search.num-simulations": [2, 8, 32]}
    rows = []
    values: dict[str, tuple[Any, ...]] = {}
    for combination in product(*axes.values()):
        recipe = ", ".join(map(str, combination))
        values[recipe] = combination
        places = [list(axis).index(v) for axis, v in zip(axes.values(), combination, strict=True)]
        best = sum(p == len(a) - 1 for p, a in zip(places, axes.values(), strict=True))
        for run in range(seeds):
            luck = rng.normal(0, 15)
            for version, budget in product(range(4), (0, 8)):
                spent = 10 + 0.4 * sum(places) + 0.3 * version
                elo = 400 * (spent - 10) + 100 * best + 130 * np.log10(1 + budget) + luck
                cost = 3 + 0.8 * places[0] + np.log10(1 + budget)
                rows.append((elo + rng.normal(0, 5), recipe, run, spent, cost, budget, places[0]))
    elo, recipe, run, spent, cost, budget, size = (np.array(c) for c in zip(*rows, strict=True))
    points = RatedVersions.of(
        elo, np.eye(len(elo)) * 50 + 20, [f"{a}-{b}" for a, b in zip(recipe, run, strict=True)],
        spent, search=cost, parameters=3 + size, recipe=recipe, seed=run,
        covariates={"simulations": budget.astype(float)},
    )  # fmt: skip
    named = [Factor(f, {r: v[i] for r, v in values.items()}) for i, f in enumerate(axes)]
    return points, named


def contrast(color: Any) -> float:
    """Computes the contrast of a color with white, as WCAG 2 defines it."""
    c = np.asarray(to_rgb(color))
    linear = np.where(c <= 0.04045, c / 12.92, ((c + 0.055) / 1.055) ** 2.4)
    return float(1.05 / (linear @ (0.2126, 0.7152, 0.0722) + 0.05))


def test_line_styles_differ_where_recipes_do() -> None:
    points, factors = grid()
    recipes = list(dict.fromkeys(points.recipe.tolist()))
    looks = LineStyles.of(factors, recipes).by_recipe
    for a, b in product(recipes, recipes):
        alike = {f.field: f.level(a) == f.level(b) for f in factors}
        assert (looks[a]["color"] == looks[b]["color"]) is alike["network.width"]
        for part in ("linestyle", "marker"):
            assert (looks[a][part] == looks[b][part]) is alike["search.num-simulations"]


def test_line_styles_distinguish_three_factors() -> None:
    points, factors = grid({"a": [1, 2, 3], "b": ["x", "y"], "c": [True, False]})
    recipes = list(dict.fromkeys(points.recipe.tolist()))
    looks = LineStyles.of(factors, recipes).by_recipe
    assert len({str(sorted(map(str, look.items()))) for look in looks.values()}) == 12
    assert [len({str(look[p]) for look in looks.values()}) for p in ("color", "linestyle")] == [
        3,
        2,
    ]


def test_legend_lists_fields_and_values() -> None:
    points, factors = grid()
    figure = study_questions.of_training(Evidence(points, varied=factors)).figure
    assert figure
    (legend,) = figure.plot.legends
    labels = [text.get_text() for text in legend.get_texts()]
    assert labels[:4] == ["network.width", "4", "16", "64"]
    assert labels[4:8] == ["search.num-simulations", "2", "8", "32"]


def drawn_findings(points: RatedVersions, factors: list[Factor]) -> dict[str, Finding]:
    """Returns all findings with a figure, by name."""
    compared = comparison_section.finding(points, lambda ahead: np.full(np.shape(ahead), 1e-6))
    answers = [
        *answer_all(Evidence(points, varied=factors), OF_STUDY),
        *([compared] if compared else []),
    ]
    return {finding.name: finding for finding in answers if finding.figure}


def strokes(axes: Axes) -> Iterator[Any]:
    """Yields the colors of all lines, interval bars, dots and legend handles, but not of areas."""
    legend = axes.get_legend()
    lines = [*axes.lines, *(legend.get_lines() if legend else ())]
    for line in lines:
        assert isinstance(line, Line2D) and line.get_alpha() in (None, 1)
        yield line.get_color()
        yield line.get_markerfacecolor()
    for marks in axes.collections:
        if isinstance(marks, LineCollection):
            yield from marks.get_edgecolor()
        elif isinstance(marks, PathCollection):
            yield from marks.get_facecolor()


@pytest.mark.parametrize("seeds", [1, 2])
def test_lines_have_a_contrast_of_three(seeds: int) -> None:
    drawn = drawn_findings(
        *grid({"network.width": [4, 16, 64], "search.num-simulations": [2, 8]}, seeds)
    )
    for name in ("training", "search", "exchange", "extrapolation", "comparison"):
        figure = drawn[name].figure
        assert figure
        figure.plot.draw_without_rendering()  # this computes the colors of numbers
        colors = [color for panel in figure.plot.axes for color in strokes(panel)]
        assert colors and min(map(contrast, colors)) >= 3, name
    assert all(contrast(color) >= 3 for color in (*HUES, INK, PALE))


@pytest.mark.parametrize("seeds", [1, 2])
@pytest.mark.parametrize("axes", [{"a": [1, 2, 3]}, {"a": [1, 2], "b": ["x", "y"]}])
def test_every_figure_has_a_caption(axes: dict[str, list[Any]], seeds: int) -> None:
    drawn = drawn_findings(*grid(axes, seeds))
    assert {"map", "training", "search", "extrapolation", "comparison"} <= drawn.keys()
    for name, finding in drawn.items():
        assert finding.figure and finding.figure.caption.endswith("."), name


def test_fit_and_its_band_are_drawn_above_the_runs() -> None:
    points, factors = grid(seeds=3)
    figure = study_questions.of_training(Evidence(points, varied=factors)).figure
    assert figure
    for axes in figure.plot.axes:
        drawn = [line for line in axes.lines if line.get_zorder() < 6]  # without its corners
        *runs, fit = sorted(drawn, key=lambda line: line.get_zorder())
        (band,) = (c for c in axes.collections if isinstance(c, PolyCollection))
        assert fit.get_color() == INK and fit.get_linewidth() > max(r.get_linewidth() for r in runs)
        assert fit.get_zorder() > band.get_zorder() > max(r.get_zorder() for r in runs)


def test_wide_intervals_do_not_squeeze_the_ratings() -> None:
    points, factors = grid()
    wide = replace(points, covariance=points.covariance * 1e8)
    drawn = (
        study_questions.of_training(Evidence(wide, varied=factors)).figure,
        figures.search(wide, factors),
    )
    for figure in drawn:
        assert figure
        low, high = figure.plot.axes[0].get_ylim()
        assert high - low <= 2.01 * np.ptp(points.elo)
        assert low <= points.elo.min() and points.elo.max() <= high


def test_figures_leave_matplotlib_settings_unchanged() -> None:
    points, factors = grid()
    with mpl.rc_context({"lines.linewidth": 7.0, "axes.grid": True, "font.size": 23.0}):
        figure = answer_all(Evidence(points, varied=factors), OF_STUDY)[0].figure
        assert figure and page.to_svg(figure)
        settings = [mpl.rcParams[name] for name in ("lines.linewidth", "axes.grid", "font.size")]
        assert settings == [7.0, True, 23.0]
        with figures.style():
            assert mpl.rcParams["lines.linewidth"] == mpl.rcParamsDefault["lines.linewidth"]


def test_names_with_dollars_are_no_formulas() -> None:
    points, factors = grid({"a$b": ["$x$", "y_$", "100 %"], "c": ["$\\frac", "{"]})
    mapped, trained = (
        map_section.of_map(points, factors, 8)[0].figure,
        study_questions.of_training(Evidence(points, varied=factors)).figure,
    )
    assert mapped and trained
    for figure in (mapped, trained):
        page.to_svg(figure)  # a formula that does not parse would raise here
    (legend,) = figure.plot.legends
    assert r"\$x\$" in [text.get_text() for text in legend.get_texts()]
