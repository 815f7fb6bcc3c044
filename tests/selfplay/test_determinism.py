"""Pinned arithmetic: what a process started from here inherits, and what it cannot change."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from games import checkout
from selfplay import determinism


def flags(devices: int = 1) -> list[str]:
    return determinism.environment(devices)["XLA_FLAGS"].split()


def test_environment_keeps_the_users_other_flags(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("XLA_FLAGS", raising=False)
    alone = flags()
    monkeypatch.setenv("XLA_FLAGS", "--xla_dump_to=somewhere")
    assert flags() == ["--xla_dump_to=somewhere", *alone]


def test_environment_overrides_the_users_pinned_flags(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XLA_FLAGS", " ".join(flags(8)).replace("AVX2", "SSE4_2"))
    monkeypatch.setenv("NPROC", "4")
    assert "--xla_cpu_max_isa=AVX2" in flags() and len(flags()) == len(set(flags()))
    assert flags()[-1] == "--xla_force_host_platform_device_count=1"
    assert not any("SSE4_2" in flag for flag in flags())
    assert determinism.environment()["NPROC"] == "1"


def test_environment_has_deterministic_gpu_kernels_without_triton_products() -> None:
    """From JAX 0.11 on no network compiles for an H100 with the first flag alone."""
    assert {"--xla_gpu_deterministic_ops=true", "--xla_gpu_enable_triton_gemm=false"} <= {*flags()}


def test_pin_raises_after_jax_was_imported(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in determinism.environment(8).items():
        monkeypatch.setenv(name, value)
    with pytest.raises(
        RuntimeError, match=r"for 8 virtual CPU devices instead of 1; call"
    ) as twice:
        determinism.pin(1)
    assert "kernel" not in str(twice.value)
    with monkeypatch.context() as patch:
        patch.setenv("XLA_FLAGS", "--xla_force_host_platform_device_count=8")  # not all of it
        with pytest.raises(RuntimeError, match="restart the kernel") as raised:
            determinism.pin()
    assert "\n    from selfplay import determinism\n    determinism.pin()\n" in str(raised.value)
    determinism.pin()  # as it is pinned: nothing is left to do
    words = "from selfplay import determinism; determinism.pin(4); import jax; "
    words += "print(jax.device_count())"
    done = subprocess.run([sys.executable, "-c", words], capture_output=True, text=True)
    assert done.stdout.strip() == "4", done.stderr


def test_number_of_devices_is_that_of_every_machine_unless_the_user_names_another(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert determinism.cpu_devices() == 8
    monkeypatch.setenv("OOMZERO_CPU_DEVICES", "2")
    assert determinism.cpu_devices() == 2
    monkeypatch.setenv("OOMZERO_CPU_DEVICES", "two")
    with pytest.raises(ValueError, match=r"OOMZERO_CPU_DEVICES must be .*'two'"):
        determinism.cpu_devices()


def test_cache_of_an_installation_is_in_the_users_cache_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert determinism.cache_folder() == checkout.ROOT / ".jax_cache"
    monkeypatch.setattr(checkout, "LOCK", tmp_path / "requirements.lock")  # as in site-packages
    monkeypatch.setenv("HOME", str(tmp_path))
    for named in (None, "", "relative"):
        monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
        if named is not None:
            monkeypatch.setenv("XDG_CACHE_HOME", named)
        assert determinism.cache_folder() == tmp_path / ".cache" / "oomzero"
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "caches"))
    assert determinism.cache_folder() == tmp_path / "caches" / "oomzero"
    assert not [*tmp_path.iterdir()]  # whoever writes there makes the folder


@pytest.mark.parametrize("home", ["missing", "read-only"])
def test_process_is_pinned_without_a_cache_where_none_can_be_written(
    home: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(checkout, "LOCK", tmp_path / "requirements.lock")
    monkeypatch.setattr("sys.modules", {})  # as before JAX
    monkeypatch.setenv("HOME", "/dev/null/none" if home == "missing" else str(tmp_path))
    if home == "read-only":  # root may write anywhere
        monkeypatch.setattr(os, "access", lambda path, mode: False)
    for name in ("XDG_CACHE_HOME", "JAX_COMPILATION_CACHE_DIR", *determinism.NAMES):
        monkeypatch.delenv(name, raising=False)
    determinism.pin()
    assert determinism.pinned() == determinism.environment(8)
    assert "JAX_COMPILATION_CACHE_DIR" not in os.environ
