"""Chunks of simulated ladders: every ladder once, kept in files, the same when read."""

from pathlib import Path

from benchmarks import calibration
from tests.simulation.calibration import CELLS, simulate


def test_chunks_hold_every_ladder_once() -> None:
    cells = [CELLS["independent 0 sparse"], CELLS["kinds 150 recipes"]]
    planned = calibration.chunks(cells, 2 * calibration.CHUNK + 3, 4)
    ladders = {cell.name: list[int]() for cell in cells}
    for chunk in planned:
        ladders[chunk.cell] += range(chunk.start, chunk.stop)
    assert ladders["independent 0 sparse"] == list(range(2 * calibration.CHUNK + 3))
    assert ladders["kinds 150 recipes"] == list(range(4))
    more = calibration.chunks(cells, 3 * calibration.CHUNK, 4)
    assert len(set(planned) & set(more)) == 3  # what is full stays when ladders are added


def test_ladders_are_the_same_when_read(tmp_path: Path) -> None:
    chunk = calibration.Chunk("independent 100 sparse", 1, 2)
    calibration.fill(chunk, tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == [chunk.path(tmp_path).name]
    ladders = calibration.read([chunk], tmp_path)
    (ladder,) = ladders[chunk.cell]
    assert ladder == simulate(CELLS[chunk.cell], 1)
    assert ladder.p_values is not None and ladder.covered._fields == ladder.plain._fields
    assert calibration.coverage_table(ladders).row_count == 1
    assert calibration.fit_table(ladders).row_count == 1
