"""A run that begins from a version of another run: what it takes, records and refuses."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from selfplay.model.config import NetworkConfig
from selfplay.model.flops import Ledger
from selfplay.players.version import Version
from selfplay.runs import metrics
from selfplay.runs.codec import from_json, to_json
from selfplay.runs.commits import Commits
from selfplay.runs.digest import digest
from selfplay.runs.files import read_hashed_json, write_hashed_json
from selfplay.runs.metrics_row import SelfPlayRow
from selfplay.runs.run import OtherConfig, load_version, read_config
from selfplay.scaling import from_ladder
from selfplay.training.config import StoreConfig, TrainConfig
from selfplay.training.loop import train
from selfplay.training.origin import Origin, _takes_the_same_networks, resolve
from selfplay.training.trainer import Trainer
from selfplay.training.verify import verify
from tests.selfplay.scaling.test_from_ladder import entry, make_run, rated
from tests.small_runs import PLAIN

CONFIG = replace(PLAIN, iterations=2, store=StoreConfig(keep_for_verify=True))


@pytest.fixture(scope="module")
def origin(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run of two iterations."""
    folder = tmp_path_factory.mktemp("origin") / "first"
    train(CONFIG, folder)
    return folder


def more(where: object, **changes: Any) -> TrainConfig:
    return replace(CONFIG, init_from=str(where), seed=7, **changes)


@pytest.fixture(scope="module")
def second(origin: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of two iterations that began from version 1 of the first."""
    folder = tmp_path_factory.mktemp("second") / "run"
    train(more(f"{origin}@1"), folder)
    return folder


def test_version_0_takes_only_the_averaged_parameters(origin: Path, second: Path) -> None:
    taken, first = load_version(origin, 1), load_version(second, 0)
    assert digest(first.params) == digest(taken.params)
    assert first.ledger == taken.ledger != asdict(Ledger())
    loaded = Commits(second, CONFIG.replay).load(0)
    arrays = {p.removeprefix("learner/"): a for p, a in loaded.state.items()}
    for part in ("params", "averaged"):
        tree = {p.partition("/")[2]: a for p, a in arrays.items() if p.startswith(f"{part}/")}
        assert digest(tree) == digest(taken.params)
    optimizer = [a for p, a in arrays.items() if p.startswith("optimizer/")]
    assert arrays["step"] == 0 and not any(np.any(array) for array in optimizer)
    assert loaded.replay.size == 0
    rows, rows_of_origin = (metrics.read_rows(run)[1].digests["rows"] for run in (second, origin))
    assert rows != rows_of_origin


def test_ledger_includes_the_flops_of_the_origin(origin: Path, second: Path) -> None:
    before, trainer = Ledger(**load_version(origin, 1).ledger), Trainer.build(CONFIG)
    for row in metrics.read_rows(second)[1:]:
        assert isinstance(row, SelfPlayRow)
        before = trainer.ledger(before, row.iteration, row.steps)
        assert Ledger.of(row) == before


def test_run_records_its_origin_without_a_path(origin: Path, second: Path) -> None:
    taken = load_version(origin, 1)
    record = {
        "run": "first",
        "version": 1,
        "digest": digest(taken.params),
        "ledger": taken.ledger,
    }
    assert json.loads((second / "manifest.json").read_text())["sessions"][0]["origin"] == record
    assert metrics.read(second)[0]["origin"] == record
    assert read_config(second)["init_from"] == record["digest"]
    for name in ("config.json", "manifest.json", "metrics.jsonl", "commits/00000000.json"):
        assert str(origin.parent) not in (second / name).read_text()


def test_run_resumes_to_the_same_bytes_without_its_origin(second: Path, tmp_path: Path) -> None:
    run = tmp_path / "elsewhere"
    shutil.copytree(second, run)
    (run / "commits" / "00000002.json").unlink()  # as if it was killed before its last commit
    assert train(more(""), run).next_iteration == 3
    assert [r["digest"] for r in metrics.read(run)] == [r["digest"] for r in metrics.read(second)]


def test_same_command_resumes_after_the_origin_was_deleted(second: Path, tmp_path: Path) -> None:
    messages: list[str] = []
    for spec in ("", read_config(second)["init_from"], str(tmp_path / "gone@1")):
        config, loaded = resolve(more(spec), second, messages.append)
        assert config == more(read_config(second)["init_from"]) and loaded is None
    assert len(messages) == 1 and str(tmp_path / "gone@1") in messages[0]
    with pytest.raises(ValueError, match="not a run folder"):  # a new run needs it
        resolve(more(tmp_path / "gone@1"), tmp_path / "new", messages.append)


def test_other_origin_is_refused(origin: Path, second: Path, tmp_path: Path) -> None:
    before = (second / "manifest.json").read_text()
    with pytest.raises(ValueError, match=r"first@2 has [0-9a-f]{12}; leave --init-from out"):
        train(more(f"{origin}@2"), second)
    with pytest.raises(ValueError, match=r"did not begin from .*first@2.*--out"):
        train(more(f"{origin}@2"), origin)
    assert (second / "manifest.json").read_text() == before
    assert train(more(f"{origin}@1"), second).next_iteration == 3  # the same one is accepted


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"network": replace(PLAIN.network, width=8)}, "network.width is 4 there and 8 here"),
        ({"network": NetworkConfig("conv", 4, 1, head_width=4)}, "network.kind"),
        ({"game": "hex?size=3"}, 'game is "tic_tac_toe" there and "hex?size=3" here'),
    ],
)
def test_other_network_or_game_is_refused_before_any_work(
    origin: Path, tmp_path: Path, changes: dict[str, Any], words: str
) -> None:
    with pytest.raises(ValueError, match="does not fit this run") as refusal:
        train(more(f"{origin}@last", **changes), tmp_path / "run")
    assert words in str(refusal.value)
    assert not (tmp_path / "run").exists()


def test_small_board_begins_a_larger_one_if_no_parameter_depends_on_it(tmp_path: Path) -> None:
    network = NetworkConfig("conv?board_free=true", width=4, depth=1, head_width=4)
    small = replace(PLAIN, iterations=1, game="hex?size=3", network=network)
    train(small, tmp_path / "small")
    large = replace(small, game="hex?size=4", init_from=f"{tmp_path / 'small'}@1")
    assert Origin.load(large).digest == digest(load_version(tmp_path / "small", 1).params)
    assert train(large, tmp_path / "large").next_iteration == 2
    with pytest.raises(ValueError, match="does not fit this run: game is"):
        Origin.load(replace(large, game="go?size=4"))
    dense = replace(large, network=replace(network, kind="conv"))
    assert _takes_the_same_networks("hex?size=4&swap=false", dense)
    assert not _takes_the_same_networks("hex?size=3", dense)


def test_game_may_be_written_differently(tmp_path: Path, origin: Path) -> None:
    file = exported(
        origin, tmp_path, lambda v: replace(v, config=v.config | {"game": "hex?size=3"})
    )
    assert Origin.load(replace(more(file), game="hex?swap=false&size=3"))


def exported(origin: Path, folder: Path, change: Callable[[Version], Version]) -> Path:
    path = folder / "version.safetensors"
    change(Version.load(f"{origin}@1")).export(path)
    return path


def test_exported_file_can_be_the_origin(origin: Path, second: Path, tmp_path: Path) -> None:
    loaded = Origin.load(more(exported(origin, tmp_path, lambda version: version)))
    assert (loaded.run, loaded.version) == ("version.safetensors", 1)
    assert loaded.digest == read_config(second)["init_from"]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda v: replace(v, ledger=None), "no ledger"),
        (lambda v: replace(v, ledger=Ledger(selfplay=-5)), "no ledger"),
        (
            lambda v: replace(v, params=jax.tree.map(lambda x: x * jnp.nan, v.params)),
            "not finite",
        ),
        (
            lambda v: replace(v, params=jax.tree.map(lambda x: x[:1], v.params)),
            "does not contain the network",
        ),
        (lambda v: replace(v, config={"game": "tic_tac_toe"}), "has a config without 'network'"),
    ],
)
def test_exported_file_with_wrong_content_is_refused(
    origin: Path, tmp_path: Path, change: Callable[[Version], Version], words: str
) -> None:
    with pytest.raises(ValueError, match=words):
        Origin.load(more(exported(origin, tmp_path, change)))


def test_verify_notices_other_initial_parameters(second: Path, tmp_path: Path) -> None:
    assert verify(second, 1, 1) is None
    copy = tmp_path / "run"
    shutil.copytree(second, copy)
    document = json.loads((copy / "config.json").read_text())
    document["config"]["init_from"] = "0" * 64
    (copy / "config.json").write_text(json.dumps(document))
    difference = verify(copy, 1, 1)
    assert difference and (difference.iteration, difference.part) == (0, "parameters")


def test_verify_takes_the_origin_from_the_config(second: Path, tmp_path: Path) -> None:
    copy = tmp_path / "run"
    shutil.copytree(second, copy)
    document = json.loads((copy / "config.json").read_text())
    del document["config"]["init_from"]  # row 0 still has an origin
    (copy / "config.json").write_text(json.dumps(document))
    difference = verify(copy, 1, 1)
    assert difference and (difference.iteration, difference.part) == (0, "state")


def test_run_without_the_option_is_unchanged(origin: Path, tmp_path: Path) -> None:
    assert "init_from" not in read_config(origin)
    assert from_json(TrainConfig, to_json(CONFIG)) == CONFIG
    assert from_json(TrainConfig, to_json(more("x"))) == more("x")
    run = tmp_path / "run"
    shutil.copytree(origin, run)
    data = read_hashed_json(run / "commits" / "00000000.json")
    del data["metrics_row"]["origin"]  # as in older runs
    write_hashed_json(run / "commits" / "00000000.json", data)
    assert train(CONFIG, run).next_iteration == 3
    with pytest.raises(OtherConfig) as refusal:
        train(replace(CONFIG, iterations=5), run)
    assert refusal.value.fields == {"iterations": ("2", "5")}


def test_recipe_includes_the_origin_and_version_0_counts_once(tmp_path: Path) -> None:
    make_run(tmp_path / "first", PLAIN)
    make_run(tmp_path / "second", replace(PLAIN, init_from="ab" * 32))
    rows = [
        {"iteration": v, "ledger": {"imitation": 0, "selfplay": 9, "learning": v}} for v in (0, 1)
    ]
    (tmp_path / "second/metrics.jsonl").write_text("".join(f"{json.dumps(r)}\n" for r in rows))
    same = replace(entry(3, "second@0?sims=0"), digest=entry(2, "first@1?sims=0").digest)
    ladder = rated(
        entry(1, "random"), entry(2, "first@1?sims=0"), same, entry(4, "second@1?sims=0")
    )
    points = from_ladder.read_versions(ladder, tmp_path)
    assert points.run.tolist() == ["first", "second"]
    assert len(set(points.recipe.tolist())) == 2
