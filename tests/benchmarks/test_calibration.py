"""The calibration of ratings: its chunks, and results that are stored and read again."""

from pathlib import Path

from benchmarks import calibration
from tests.simulation.calibration import CELLS, simulate


def test_chunks_contain_every_missing_ladder_once_and_cells_grow_together() -> None:
    many, published = "independent 0 sparse", "cycle 150 connect four"
    missing = {many: [*range(3, 2 * calibration.CHUNK + 6)], published: [*range(9)]}
    planned = calibration.chunks(missing)
    for name, numbers in missing.items():
        assert [i for chunk in planned if chunk.cell == name for i in chunk.numbers] == numbers
    assert [chunk.cell for chunk in planned] == [published, many, published, many, many]
    assert max(len(chunk.numbers) for chunk in planned) == calibration.CHUNK


def test_results_are_stored_and_continued(tmp_path: Path) -> None:
    name = "independent 100 sparse"
    for number in (1, 0):
        chunk = calibration.Chunk(name, (number,))
        assert list(calibration.run([chunk], tmp_path, 1)) == [chunk]
    stored = calibration.read(tmp_path, name)
    assert list(stored) == [0, 1]
    expected = calibration.rounded(simulate(CELLS[name], 1).to_json())
    actual = stored[1].to_json()
    del expected["seconds"], actual["seconds"]
    assert calibration.rounded(actual) == expected and actual["p_values"]
    ladders = {name: list(stored.values())}
    assert calibration.coverage_table(ladders).row_count == 1
    assert calibration.fit_table(ladders).row_count == 1
    assert calibration.group_table(ladders).row_count >= 3
