"""The tracker in docs/examples works as the guide describes it."""

from pathlib import Path

import pytest

from games import plugins
from selfplay.tracking import tracker_specs
from selfplay.tracking.feed import tracked
from tests.docs.pages import ROOT
from tests.docs.test_guide import guide
from tests.selfplay.tracking.tracked_runs import commit, open_run

EXAMPLES = ROOT / "docs" / "examples"


def test_example_writes_a_line_of_csv_for_each_row(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(EXAMPLES)
    plugins.trust(["my_tracker:my_tracker"])
    trackers, announced = tracker_specs.resolve(["my_tracker:my_tracker?file=a.csv"]), list[str]()
    for rows in (2, 1):  # the second run of the program resumes
        with open_run(tmp_path) as run, tracked(run, trackers, announced.append):
            for _ in range(rows):
                commit(run)
    assert announced == []
    assert (tmp_path / "a.csv").read_text().splitlines() == ["1,7.0,1.0", "2,8.0,0.5"]
    source = (EXAMPLES / "my_tracker.py").read_text()
    assert source.partition('"""\n\n')[2].strip() in guide("track")
    assert len(source.splitlines()) <= 25
