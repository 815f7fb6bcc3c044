"""Parts that every page has."""

from __future__ import annotations

from selfplay.serve.web.frame import spoken


def test_a_chart_says_where_its_named_lines_end() -> None:
    series = [
        {"type": "line", "name": "policy", "data": [[1, 2.0], [12, 0.31251]]},
        {"type": "line", "name": "value", "data": []},
        {"type": "line", "data": [[12, 0.5]]},  # a bound, without a name
        {"type": "scatter", "name": "versions", "data": [[12, 0.5]]},
    ]
    assert spoken("losses", {"series": series}) == "losses: policy 0.3125 at 12"
    assert spoken("losses", {"series": []}) == "losses"
