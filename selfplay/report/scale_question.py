"""The question whether all players share one scale, and ratings within each search budget."""

from __future__ import annotations

import numpy as np

from selfplay.ladder import model_fit
from selfplay.ladder.kinds import kinds
from selfplay.ladder.ladder import LadderState
from selfplay.ratings import elo
from selfplay.ratings.elo import Z95, KindRatings
from selfplay.report.evidence import Evidence
from selfplay.report.findings import Finding
from selfplay.report.table import Table

LEVEL = 0.01  # of the test for kinds, below which the report has ratings within each budget


def of_scale(evidence: Evidence) -> Finding | None:
    """Tests one common scale, and the model that lets pairings deviate; None without the games."""
    state, fit = evidence.ladder, evidence.fit
    if state is None or fit is None:
        return None
    sentences = [
        f"One common scale: p = {fit.one_scale:.1g}; {model_fit.describe_spread(state)}. A rating "
        "is a player's mean strength against opponents like those that it met, and its interval "
        "includes these deviations.",
    ]
    verdict = "; ".join(model_fit.reasons(fit)) or "they explain the games"
    sentences.append(f"Ratings and deviations together: p = {fit.p_value:.1g}; {verdict}.")
    if fit.kinds >= LEVEL:
        sentences.append(
            f"No difference in kind between search budgets is found (p = {fit.kinds:.1g})."
        )
        return Finding(sentences, results=[fit])
    by_kind = elo.fit_by_kind(
        state.games, len(state.entries), state.ratings.anchor, kinds(state.entries)
    )
    sentences.append(
        f"Pairings between search budgets, engines or perfect play deviate by {by_kind.between:.0f}"
        f" Elo, those within a kind by {by_kind.ratings.pair_spread:.0f} (p = {fit.kinds:.1g} for "
        "no difference). The numbers have ratings within each kind, relative to its mean."
    )
    return Finding(sentences, data=within_kinds(state, by_kind), results=[fit, by_kind])


def within_kinds(state: LadderState, by_kind: KindRatings) -> Table:
    """Makes a table of ratings relative to the mean of the players of the same kind."""
    ratings, names = by_kind.ratings, np.array(kinds(state.entries))
    rows = list[tuple[str | float, ...]]()
    for name in dict.fromkeys(names.tolist()):
        members = np.flatnonzero(names == name)
        relative = np.eye(len(names))[members]
        relative[:, members] -= 1 / len(members)
        value = relative @ ratings.elo
        half = Z95 * np.sqrt(np.maximum(np.diag(relative @ ratings.covariance @ relative.T), 0))
        for at in np.argsort(-value, kind="stable"):
            numbers = (float(x[at]) for x in (value, value - half, value + half))
            spec = state.entries[int(members[at])].spec
            rows.append((name, spec, *(round(number, 1) for number in numbers)))
    return Table(("kind", "player", "Elo", "from", "to"), rows)
