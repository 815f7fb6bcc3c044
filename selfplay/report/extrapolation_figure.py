"""The figure of extrapolation: fitted and held-out versions, and the best candidate's curve."""

import numpy as np

from selfplay.report.figures import (
    COLUMNS,
    HUES,
    ReportFigure,
    canvas,
    limit_elo,
    style,
    version_rows,
)
from selfplay.report.table import Table
from selfplay.scaling.estimate import Floats
from selfplay.scaling.extrapolation import Comparison, Extrapolation, one_more_run
from selfplay.scaling.rated_versions import RatedVersions
from selfplay.style.figure_style import INK, PALE
from selfplay.style.powers_of_ten import label_powers


@style()
def draw(points: RatedVersions, compared: Comparison, note: str = "") -> ReportFigure:
    """Draws fitted versions, the best candidate's curve with its band, and held-out versions.

    Args:
        points: all versions.
        compared: the candidates' predictions of the largest runs.
        note: begins the caption.
    """
    figure, axes = canvas(7.2, 3.8)
    test = compared.test
    out = np.isin(points.run, test.held_out)
    fitted = points.select(~out)
    last = float(fitted.training.max())
    beyond = np.linspace(last, float(points.training.max()), 40)
    size = float(points.parameters[int(np.argmax(points.training))])
    drawn = points.parameters == size if compared.best.over_sizes else ~out
    first = float(points.training[drawn].min())
    whole = np.concatenate([np.linspace(min(first, last), last, 80)[:-1], beyond])
    band = one_more_run(fitted, compared, beyond, np.full(len(beyond), size))
    mean = test.predictor.mean(whole, np.full(len(whole), size))
    axes.plot(fitted.training, fitted.elo, "o", color=PALE, markersize=4, label="fitted")
    axes.fill_between(beyond, band.low, band.high, color=INK, alpha=0.18, linewidth=0,
                      label="one more run, 95 %")  # fmt: skip
    axes.plot(whole, mean, color=INK, linewidth=1.6, label=compared.best.name)
    axes.plot(
        points.training[out], points.elo[out], "D", color=HUES[0], markersize=4, label="held out"
    )
    axes.axvline(last, color=INK, linewidth=0.8, linestyle=":")
    axes.legend(fontsize=8, frameon=False)
    axes.set(xlabel="training, FLOPs", ylabel="Elo")
    label_powers(axes.xaxis)
    limit_elo(axes, points.elo)
    predictions = _predictions(points, test)
    header = (*COLUMNS, "held_out", "predicted", "low", "high")
    caption = (
        f"{note}The curve is fitted to the gray dots alone, which end at the dotted line, and is "
        "the one for the size of the largest run. The band is for the Elo of one more run of that "
        "size; the intervals of held-out ratings also include their errors."
    )
    rows = version_rows(points, out.astype(int), *predictions.T)
    return ReportFigure(figure, Table(header, rows), caption)


def _predictions(points: RatedVersions, test: Extrapolation) -> Floats:
    """Lists the prediction of each version and its interval, [N, 3]; NaN for fitted ones."""
    predicted = test.predicted
    ends = np.stack([predicted.value, predicted.low, predicted.high], axis=1)
    rows = dict(zip(zip(test.run, test.training, strict=True), ends, strict=True))
    keys = zip(points.run, points.training, strict=True)
    return np.array([rows.get(key, np.full(3, np.nan)) for key in keys])
