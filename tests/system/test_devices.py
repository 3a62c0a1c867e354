"""Devices, precision, cores and memory of this machine."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from warmup_lab.config import ConfigError
from warmup_lab.system.devices import available_cores, available_ram, planned_for, resolve_device, resolve_precision

MEMINFO = Path("/proc/meminfo")


@pytest.mark.parametrize(("has_gpu", "device"), [(False, "cpu"), (True, "cuda")])
def test_auto_takes_the_gpu_if_there_is_one(monkeypatch: pytest.MonkeyPatch, has_gpu: bool, device: str) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: has_gpu)
    assert resolve_device("auto") == device
    assert resolve_device("cpu") == "cpu"


def test_a_device_that_is_unknown_or_missing_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(ConfigError, match=r"unknown device 'gpu'\. Known: auto, cpu"):
        resolve_device("gpu")
    with pytest.raises(ConfigError, match="device=cuda:1 is not on this machine: use device=cpu or device=auto"):
        resolve_device("cuda:1")


def test_auto_precision_is_bf16_on_gpus_that_have_it(monkeypatch: pytest.MonkeyPatch) -> None:
    for supported, precision in ((True, "bf16"), (False, "fp32")):
        monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda supported=supported: supported)
        assert resolve_precision("auto", "cuda:0") == precision
    assert resolve_precision("auto", "cpu") == "fp32"
    assert resolve_precision("bf16", "cpu") == "bf16"


def test_there_is_at_least_one_core() -> None:
    assert available_cores() >= 1


@pytest.mark.skipif(not MEMINFO.exists(), reason="needs /proc/meminfo")
def test_available_ram_is_the_memory_that_linux_reports_as_available() -> None:
    lines = (line.split() for line in MEMINFO.read_text().splitlines())
    kibibytes = next(int(words[1]) for words in lines if words[0] == "MemAvailable:")
    assert available_ram() == pytest.approx(1024 * kibibytes, rel=0.2)


def test_runs_are_planned_for_the_device_of_the_workers() -> None:
    with planned_for("cuda", "auto"):
        assert (resolve_device("auto"), resolve_precision("auto", "cuda")) == ("cuda", "bf16")
        assert resolve_device("cuda:0") == "cuda:0"
        assert (resolve_device("cpu"), resolve_precision("auto", "cpu")) == ("cpu", "fp32")
    with planned_for("cpu", "auto"), pytest.raises(ConfigError, match="the workers have cpu"):
        resolve_device("cuda")
