"""Designs of the named studies."""

from __future__ import annotations

import numpy as np

from configs import studies


def test_screening_judges_every_change_by_as_many_runs_with_it_as_without() -> None:
    design = np.array(studies.plackett_burman(12))
    np.testing.assert_array_equal(design.T @ design, 12 * np.eye(11))
    runs = [set(arm.name.split("+")) - {"none"} for arm in studies.screening().arms]
    changes = set.union(*runs)
    assert (len(runs), len(changes)) == (24, 11)
    for one in changes:
        assert sum(one in run for run in runs) == 12
        for other in changes - {one}:
            assert sum({one, other} <= run for run in runs) == 6
