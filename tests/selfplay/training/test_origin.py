"""A run that begins from a version of another run: what it takes, resumes, refuses and tells."""

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

from selfplay.imitation.config import ImitationConfig
from selfplay.model.config import NetworkConfig
from selfplay.model.flops import Ledger
from selfplay.players.version import Version
from selfplay.runs import metrics
from selfplay.runs.codec import from_json, to_json
from selfplay.runs.commits import Commits
from selfplay.runs.digest import digest
from selfplay.runs.files import read_hashed_json, write_hashed_json
from selfplay.runs.run import OtherConfig, load_version, read_config
from selfplay.scaling import from_ladder
from selfplay.training.config import StoreConfig, TrainConfig
from selfplay.training.loop import train
from selfplay.training.origin import Origin, resolve
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


def test_version_0_has_the_averaged_parameters_and_nothing_else(origin: Path, second: Path) -> None:
    taken, first = load_version(origin, 1), load_version(second, 0)
    assert digest(first.params) == digest(taken.params)
    assert first.ledger == taken.ledger != asdict(Ledger())
    loaded = Commits(second, CONFIG.replay).load(0)
    arrays = {p.removeprefix("state/learner/"): a for p, a in loaded.arrays.items()}
    for part in ("params", "averaged"):
        own = {p: a for p, a in arrays.items() if p.startswith(f"{part}/")}
        assert digest({p.partition("/")[2]: a for p, a in own.items()}) == digest(taken.params)
    optimizer = [a for p, a in arrays.items() if p.startswith("optimizer/")]
    assert arrays["step"] == 0 and not any(np.any(array) for array in optimizer)
    assert loaded.replay.size == 0
    first_of_its_own = metrics.read(second)[1]["digest"]["rows"]
    assert first_of_its_own != metrics.read(origin)[1]["digest"]["rows"]


def test_the_ledger_counts_what_was_spent_before(origin: Path, second: Path) -> None:
    before, trainer = Ledger(**load_version(origin, 1).ledger), Trainer.build(CONFIG)
    for row in metrics.read(second)[1:]:
        before = trainer.ledger(before, row["steps"])
        assert Ledger.of(row) == before


def test_the_run_tells_its_origin_and_holds_no_path(origin: Path, second: Path) -> None:
    taken = load_version(origin, 1)
    told = {
        "run": "first",
        "version": 1,
        "digest": digest(taken.params),
        "ledger": taken.ledger,
    }
    assert json.loads((second / "manifest.json").read_text())["sessions"][0]["origin"] == told
    assert metrics.read(second)[0]["origin"] == told
    assert read_config(second)["init_from"] == told["digest"]
    for name in ("config.json", "manifest.json", "metrics.jsonl", "commits/00000000.json"):
        assert str(origin.parent) not in (second / name).read_text()


def test_it_resumes_to_the_same_bytes_without_its_origin(second: Path, tmp_path: Path) -> None:
    run = tmp_path / "elsewhere"
    shutil.copytree(second, run)
    (run / "commits" / "00000002.json").unlink()  # as if it was killed before its last commit
    assert train(more(""), run).next_iteration == 3
    assert [r["digest"] for r in metrics.read(run)] == [r["digest"] for r in metrics.read(second)]


def test_the_same_command_resumes_when_the_origin_is_gone(second: Path, tmp_path: Path) -> None:
    said: list[str] = []
    for where in ("", read_config(second)["init_from"], str(tmp_path / "gone@1")):
        config, loaded = resolve(more(where), second, said.append)
        assert config == more(read_config(second)["init_from"]) and loaded is None
    (sentence,) = said
    assert "gone@1 cannot be read any more" in sentence
    with pytest.raises(ValueError, match="no run folder"):  # a new run needs it
        resolve(more(tmp_path / "gone@1"), tmp_path / "new", said.append)


def test_another_origin_is_refused(origin: Path, second: Path, tmp_path: Path) -> None:
    before = (second / "manifest.json").read_text()
    with pytest.raises(ValueError, match=r"first@2 has [0-9a-f]{12}; leave --init-from out"):
        train(more(f"{origin}@2"), second)
    with pytest.raises(ValueError, match=r"holds a run that did not begin from .*first@2.*--out"):
        train(more(f"{origin}@2"), origin)
    assert (second / "manifest.json").read_text() == before
    assert train(more(f"{origin}@1"), second).next_iteration == 3  # the same one is welcome


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"network": replace(PLAIN.network, width=8)}, "network.width is 4 there and 8 here"),
        ({"network": NetworkConfig("mlp", 4, 1, head_width=4)}, "network.kind"),
        ({"game": "hex?size=3"}, 'game is "tic_tac_toe" there and "hex?size=3" here'),
    ],
)
def test_another_network_or_game_is_refused_before_any_work(
    origin: Path, tmp_path: Path, changes: dict[str, Any], words: str
) -> None:
    with pytest.raises(ValueError, match="does not fit this run") as refusal:
        train(more(f"{origin}@last", **changes), tmp_path / "run")
    assert words in str(refusal.value)
    assert not (tmp_path / "run").exists()


def test_the_same_game_may_be_written_differently(tmp_path: Path, origin: Path) -> None:
    file = exported(
        origin, tmp_path, lambda v: replace(v, config=v.config | {"game": "hex?size=3"})
    )
    assert Origin.load(replace(more(file), game="hex?swap=false&size=3"))


def exported(origin: Path, folder: Path, change: Callable[[Version], Version]) -> Path:
    path = folder / "version.safetensors"
    change(Version.load(f"{origin}@1")).export(path)
    return path


def test_an_exported_file_is_as_good(origin: Path, second: Path, tmp_path: Path) -> None:
    found = Origin.load(more(exported(origin, tmp_path, lambda version: version)))
    assert (found.run, found.version) == ("version.safetensors", 1)
    assert found.digest == read_config(second)["init_from"]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda v: replace(v, ledger=None), "does not tell what its training cost"),
        (lambda v: replace(v, ledger=Ledger(selfplay=-5)), "does not tell what its training"),
        (
            lambda v: replace(v, params=jax.tree.map(lambda x: x * jnp.nan, v.params)),
            "not finite",
        ),
        (
            lambda v: replace(v, params=jax.tree.map(lambda x: x[:1], v.params)),
            "does not hold the network that its config says",
        ),
        (lambda v: replace(v, config={"game": "tic_tac_toe"}), "network.width is absent there"),
    ],
)
def test_a_strangers_file_is_checked_before_it_is_used(
    origin: Path, tmp_path: Path, change: Callable[[Version], Version], words: str
) -> None:
    with pytest.raises(ValueError, match=words):
        Origin.load(more(exported(origin, tmp_path, change)))


def test_imitation_and_an_origin_are_refused_together() -> None:
    with pytest.raises(ValueError, match=r"init_from=a@1 and imitation\.data=b would both"):
        replace(CONFIG, init_from="a@1", imitation=ImitationConfig(dataset="b"))


def test_it_verifies_and_another_start_is_found(second: Path, tmp_path: Path) -> None:
    assert verify(second, 1, 1, lambda *_: None) is None
    copy = tmp_path / "run"
    shutil.copytree(second, copy)
    document = json.loads((copy / "config.json").read_text())
    document["config"]["init_from"] = "0" * 64
    (copy / "config.json").write_text(json.dumps(document))
    assert verify(copy, 1, 1, lambda *_: None) == (
        "version 0: it has other parameters than the run began from"
    )


def test_only_the_config_may_give_a_run_another_start(second: Path, tmp_path: Path) -> None:
    copy = tmp_path / "run"
    shutil.copytree(second, copy)
    document = json.loads((copy / "config.json").read_text())
    del document["config"]["init_from"]  # row 0 still tells an origin
    (copy / "config.json").write_text(json.dumps(document))
    assert verify(copy, 1, 1, lambda *_: None) == "version 0: the initial parameters"


def test_runs_of_before_the_option_are_what_they_were(origin: Path, tmp_path: Path) -> None:
    assert "init_from" not in read_config(origin)
    assert from_json(TrainConfig, to_json(CONFIG)) == CONFIG
    assert from_json(TrainConfig, to_json(more("x"))) == more("x")
    run = tmp_path / "run"
    shutil.copytree(origin, run)
    data = read_hashed_json(run / "commits" / "00000000.json")
    del data["metrics_row"]["origin"]  # as rows were
    write_hashed_json(run / "commits" / "00000000.json", data)
    assert train(CONFIG, run).next_iteration == 3
    with pytest.raises(OtherConfig) as refusal:
        train(replace(CONFIG, iterations=5), run)
    assert refusal.value.fields == {"iterations": ("2", "5")}


def test_a_recipe_includes_the_origin_and_version_0_counts_once(tmp_path: Path) -> None:
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
