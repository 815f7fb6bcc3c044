"""Cluster manifests: by the schemas of those who read them, and by our own command line."""

import json
import re
import shlex
import subprocess
from importlib.resources import files
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import tyro
import yaml

import configs
from selfplay.training.config import TrainConfig

ROOT = Path(__file__).resolve().parents[2]
FOLDER = ROOT / "launch" / "cluster"
STRICT = {"additionalProperties": False}
TEXT, COUNT = {"type": "string"}, {"type": "integer", "minimum": 0}
TEXTS = {"type": "object", "additionalProperties": TEXT}

# What KubeRay's definition of a RayJob and Kubernetes' of a pod have of what is used here.
QUANTITIES = {
    "type": "object",
    "additionalProperties": {"type": "string", "pattern": r"^[0-9.]+([KMGTPE]i|m)?$"},
}
POD = {
    "type": "object",
    "required": ["spec"],
    "properties": {
        "spec": {
            "type": "object",
            "required": ["containers"],
            "properties": {
                "securityContext": {"type": "object", "properties": {"fsGroup": COUNT}, **STRICT},
                "containers": {
                    "type": "array",
                    "minItems": 1,
                    "items": {
                        "type": "object",
                        "required": ["name", "image", "resources"],
                        "properties": {
                            "name": TEXT,
                            "image": TEXT,
                            "workingDir": TEXT,
                            "resources": {
                                "type": "object",
                                "properties": {"requests": QUANTITIES, "limits": QUANTITIES},
                                **STRICT,
                            },
                            "volumeMounts": {
                                "type": "array",
                                "items": {
                                    "type": "object",
                                    "required": ["name", "mountPath"],
                                    "properties": {"name": TEXT, "mountPath": TEXT},
                                    **STRICT,
                                },
                            },
                        },
                        **STRICT,
                    },
                },
                "volumes": {
                    "type": "array",
                    "items": {
                        "type": "object",
                        "required": ["name"],
                        "properties": {
                            "name": TEXT,
                            "persistentVolumeClaim": {
                                "type": "object",
                                "required": ["claimName"],
                                "properties": {"claimName": TEXT},
                                **STRICT,
                            },
                        },
                        **STRICT,
                    },
                },
            },
            **STRICT,
        },
    },
    **STRICT,
}
GROUP = {"rayStartParams": TEXTS, "template": POD}
RAY_JOB = {
    "type": "object",
    "required": ["apiVersion", "kind", "metadata", "spec"],
    "properties": {
        "apiVersion": {"const": "ray.io/v1"},
        "kind": {"const": "RayJob"},
        "metadata": {"type": "object", "required": ["name"], "properties": {"name": TEXT}},
        "spec": {
            "type": "object",
            "required": ["entrypoint", "rayClusterSpec"],
            "properties": {
                "entrypoint": TEXT,
                "backoffLimit": COUNT,
                "shutdownAfterJobFinishes": {"type": "boolean"},
                "ttlSecondsAfterFinished": COUNT,
                "rayClusterSpec": {
                    "type": "object",
                    "required": ["headGroupSpec"],
                    "properties": {
                        "rayVersion": TEXT,
                        "enableInTreeAutoscaling": {"type": "boolean"},
                        "headGroupSpec": {
                            "type": "object",
                            "required": ["rayStartParams", "template"],
                            "properties": GROUP,
                            **STRICT,
                        },
                        "workerGroupSpecs": {
                            "type": "array",
                            "items": {
                                "type": "object",
                                "required": ["groupName", "maxReplicas", "minReplicas", "template"],
                                "properties": GROUP
                                | {"groupName": TEXT}
                                | dict.fromkeys(("replicas", "minReplicas", "maxReplicas"), COUNT),
                                **STRICT,
                            },
                        },
                    },
                    **STRICT,
                },
            },
            **STRICT,
        },
    },
    **STRICT,
}


def asked(arguments: list[str]) -> TrainConfig:
    """What a command line of launch/train.py asks for."""
    at = arguments.index("--out")
    own = [a for a in (*arguments[1:at], *arguments[at + 2 :]) if a != "--plain"]
    return tyro.cli(TrainConfig, default=configs.get(arguments[0]), args=own)


def manifest(name: str) -> dict[str, Any]:
    return yaml.safe_load((FOLDER / name).read_text())


@pytest.fixture
def job() -> dict[str, Any]:
    return manifest("gpu.rayjob.yaml")


@pytest.fixture
def cloud() -> dict[str, Any]:
    return manifest("tpu.autoscaler.yaml")


def test_the_job_is_a_ray_job(job: dict[str, Any]) -> None:
    jsonschema.validate(job, RAY_JOB)
    for wrong in ({"entryPoint": "x"}, {"backoffLimit": "10"}):
        with pytest.raises(jsonschema.ValidationError):
            jsonschema.validate(job | {"spec": job["spec"] | wrong}, RAY_JOB)


def test_the_cloud_file_is_what_rays_launcher_reads(cloud: dict[str, Any]) -> None:
    schema = json.loads(files("ray.autoscaler").joinpath("ray-schema.json").read_text())
    jsonschema.validate(cloud, schema)
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(cloud | {"idle_timeout": 5}, schema)
    assert cloud["head_node_type"] in cloud["available_node_types"]
    workers = [n["max_workers"] for n in cloud["available_node_types"].values()]
    assert sum(workers) <= cloud["max_workers"]


def test_the_jobs_command_is_one_of_ours(job: dict[str, Any]) -> None:
    """Flags that the command knows, and actors that have room on a worker."""
    python, script, *arguments = shlex.split(job["spec"]["entrypoint"])
    assert (python, script) == ("python", "launch/train.py")
    asked_for = asked(arguments)
    config = asked_for.cluster
    cluster = job["spec"]["rayClusterSpec"]
    limits = cluster["workerGroupSpecs"][0]["template"]["spec"]["containers"][0]["resources"]
    worker = {
        "CPU": float(limits["limits"]["cpu"]),
        "GPU": float(limits["limits"]["nvidia.com/gpu"]),
    }
    assert config.address == "auto" and config.capacity([worker]) == 4
    most = cluster["workerGroupSpecs"][0]["maxReplicas"]
    assert asked_for.selfplay.streams >= config.actors == 4 * most  # demand for all, work for all
    assert config.capacity([{"CPU": 0.0, "GPU": 0.0}]) == 0  # the head plays nothing
    start = cluster["headGroupSpec"]["rayStartParams"]
    assert start == {"num-cpus": "0", "num-gpus": "0"}
    mounted = cluster["headGroupSpec"]["template"]["spec"]["containers"][0]["volumeMounts"]
    out = arguments[arguments.index("--out") + 1]
    assert out.startswith(mounted[0]["mountPath"])  # a run outlives its pods


def test_the_clouds_command_is_one_of_ours(cloud: dict[str, Any]) -> None:
    text = (FOLDER / "tpu.autoscaler.yaml").read_text().replace("\\\n#", "")
    (command,) = re.findall(r"launch/train\.py (.*)", text)
    asked_for = asked(shlex.split(command))
    config, slices = asked_for.cluster, cloud["available_node_types"]["tpu"]
    assert config.capacity([slices["resources"]]) == 4
    assert asked_for.selfplay.streams >= config.actors == 4 * slices["max_workers"]
    assert config.actor_environment() == {"JAX_PLATFORMS": ""}  # it may have the TPU


def test_every_node_has_the_locked_ray() -> None:
    (locked,) = re.findall(r"^ray==(\S+)", (ROOT / "requirements.lock").read_text(), re.MULTILINE)
    assert manifest("gpu.rayjob.yaml")["spec"]["rayClusterSpec"]["rayVersion"] == locked


def test_the_container_has_all_that_is_installed() -> None:
    """Packages of the wheel, and what building it reads."""
    lines = (FOLDER / "Containerfile").read_text().splitlines()
    copied = {word for line in lines if line.startswith("COPY") for word in line.split()[1:-1]}
    assert copied >= {"games", "selfplay", "configs", "launch", "pyproject.toml", "README.md"}
    assert all((ROOT / name).exists() for name in copied)
    assert any("--constraint requirements.lock" in line for line in lines)
    (what,) = re.findall(r"--constraint requirements\.lock --editable (\".*\")", "\n".join(lines))
    for extras, expect in (("", "."), ("cuda", ".[cuda]")):  # what pip can read
        shell = ["sh", "-c", f"echo {what}"]
        said = subprocess.run(shell, env={"EXTRAS": extras}, capture_output=True, text=True)
        assert said.stdout.strip() == expect


def test_every_machine_of_a_cloud_has_the_containers_python(cloud: dict[str, Any]) -> None:
    """Ray lets in its own version of Python alone, and images have different ones."""
    (python,) = re.findall(
        r"^FROM .*python:(\S+)-slim", (FOLDER / "Containerfile").read_text(), re.M
    )
    (made,) = [line for line in cloud["setup_commands"] if line.endswith("~/venv")]
    assert f"--python {python} " in made and not any(
        "sudo pip" in x for x in cloud["setup_commands"]
    )
    for kind in ("head", "worker"):
        assert all("~/venv/bin/pip" in line for line in cloud[f"{kind}_setup_commands"])
