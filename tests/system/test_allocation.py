from __future__ import annotations

from pathlib import Path

import pytest

from warmup_lab.system import allocation
from warmup_lab.system.allocation import allocated_cores, allocated_ram


@pytest.fixture
def cgroup(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A cgroup inside another one, as a batch system makes them."""
    inner = tmp_path / "job" / "step"
    inner.mkdir(parents=True)
    monkeypatch.setattr(allocation, "_own_cgroups", lambda root: [inner, inner.parent, root])
    return inner


def test_cores_are_those_of_the_quota_and_of_slurm(cgroup: Path, tmp_path: Path) -> None:
    assert allocated_cores({}, tmp_path) is None
    (cgroup.parent / "cpu.max").write_text("350000 100000\n")  # 3.5 cores
    (cgroup / "cpu.max").write_text("max 100000\n")
    assert allocated_cores({}, tmp_path) == 4
    assert allocated_cores({"SLURM_CPUS_PER_TASK": "2"}, tmp_path) == 2
    assert allocated_cores({"SLURM_CPUS_PER_TASK": "3", "WARMUP_LAB_TASK_CPUS": "1"}, tmp_path) == 1


def test_memory_is_the_least_that_is_left_in_a_cgroup(cgroup: Path, tmp_path: Path) -> None:
    assert allocated_ram(tmp_path) is None
    (cgroup / "memory.max").write_text("max\n")
    (cgroup / "memory.current").write_text("100\n")
    (cgroup.parent / "memory.max").write_text("1000\n")
    (cgroup.parent / "memory.current").write_text("300\n")
    assert allocated_ram(tmp_path) == 700
    assert allocated_ram(tmp_path, {"WARMUP_LAB_TASK_MEMORY": "600"}) == 600
    (cgroup.parent / "memory.stat").write_text("anon 50\nfile 250\ninactive_file 200\nactive_file 50\n")
    assert allocated_ram(tmp_path) == 900  # cached files can be freed
