"""A sweep on a real Ray cluster of two nodes on this machine, one of which is killed. `make test-ray`.

The nodes are `ray start --block` processes of this test, in sessions of their own. `ray stop` would end the Ray of
everybody on the machine.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import uuid
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pandas as pd
import psutil
import pytest
from cluster_commands import Start, end, processes_of, started_commands, until

from warmup_lab.system import lock_holder

pytestmark = pytest.mark.skipif(find_spec("ray") is None, reason="make test-ray installs Ray")
SWEEP = [
    "-m", "task=synthetic_small", "model=bert_tiny", "tracking=none", "max_steps=60", "checkpoint_every=5",
    "eval_every=null", "num_threads=1", "warmup_ratio=0.1,0.5", "seed=range(3)",
]  # fmt: skip
_OBJECT_STORE_BYTES = "100000000"


@dataclass
class Cluster:
    address: str
    environment: dict[str, str]
    folder: Path
    ray_folder: Path
    started: list[subprocess.Popen[bytes]]

    def start_node(self, *words: str) -> subprocess.Popen[bytes]:
        """Starts a node with 2 CPUs, in a session of its own, in which it can be found."""
        command = [
            str(Path(sys.executable).with_name("ray")), "start", "--block", "--num-cpus=2", "--num-gpus=0",
            "--node-ip-address=127.0.0.1", f"--object-store-memory={_OBJECT_STORE_BYTES}",
            "--include-log-monitor=false", "--disable-usage-stats", *words,
        ]  # fmt: skip
        log = self.folder / f"node{len(self.started)}.log"
        with log.open("wb") as file:
            node = subprocess.Popen(command, env=self.environment, stdout=file, stderr=file, start_new_session=True)
        self.started.append(node)
        return node

    def stop(self) -> None:
        for node in reversed(self.started):
            end(processes_of(node))
            node.wait()


def named(processes: list[psutil.Process], name: str) -> list[psutil.Process]:
    return [process for process in processes if process.is_running() and process.name() == name]


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    environment = {
        **os.environ, "WARMUP_LAB_CACHE": str(tmp_path_factory.mktemp("cache")), "OMP_NUM_THREADS": "1",
        "CUDA_VISIBLE_DEVICES": "", "RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": uuid.uuid4().hex,
        "RAY_health_check_period_ms": "500", "RAY_health_check_timeout_ms": "2000",
    }  # fmt: skip
    with ExitStack() as exits:
        # Short, because Ray puts sockets there, whose paths have at most 107 characters.
        ray_folder = exits.enter_context(TemporaryDirectory(prefix="ray", ignore_cleanup_errors=True))
        found = Cluster(f"127.0.0.1:{port}", environment, tmp_path_factory.mktemp("nodes"), Path(ray_folder), [])
        exits.callback(found.stop)
        found.start_node("--head", f"--port={port}", "--include-dashboard=false", f"--temp-dir={ray_folder}")
        until(lambda: _answers(port), found.started[0])
        found.start_node(f"--address={found.address}")
        until(lambda: named(processes_of(found.started[1]), "raylet"), found.started[1])
        yield found


def _answers(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


@pytest.fixture
def start(cluster: Cluster) -> Iterator[Start]:
    with started_commands(cluster.environment) as start_one:
        yield start_one


def on_ray(cluster: Cluster, folder: Path, *words: str) -> list[str]:
    address = f"hydra.launcher.address='{cluster.address}'"
    return [*SWEEP, f"hydra.sweep.dir={folder}", "hydra/launcher=ray", address, *words]


def training(folder: Path) -> dict[str, psutil.Process]:
    """Run id -> worker, of the runs that train and have a checkpoint."""
    found = {}
    for run in folder.glob("*/"):
        holder = lock_holder(run)
        if holder and psutil.pid_exists(holder["pid"]) and any((run / "checkpoint").glob("state-*.pt")):
            found[run.name] = psutil.Process(holder["pid"])
    return found


def results_of(folder: Path) -> dict[str, dict[str, Any]]:
    return {path.parent.name: json.loads(path.read_text()) for path in folder.glob("*/result.json")}


def test_sweep_with_a_node_that_dies(start: Start, cluster: Cluster, tmp_path: Path) -> None:
    undisturbed, folder, output = tmp_path / "undisturbed", tmp_path / "sweep", tmp_path / "sweep.log"
    alone = start([*SWEEP, f"hydra.sweep.dir={undisturbed}"], tmp_path / "undisturbed.log")
    node = cluster.start_node(f"--address={cluster.address}")
    (raylet,) = until(lambda: named(processes_of(node), "raylet"), node)
    sweep = start(on_ray(cluster, folder), output)

    def on_node() -> dict[str, psutil.Process]:
        members = set(processes_of(node))
        return {run_id: worker for run_id, worker in training(folder).items() if worker in members}

    run_id, worker = next(iter(until(on_node, sweep).items()))
    worker.suspend()  # so that the run does not end before its node
    assert not (folder / run_id / "result.json").exists()
    processes = processes_of(node)
    raylet.kill()
    try:
        # The run is submitted again while its worker still holds the lock.
        until(lambda: "submitted again" in output.read_text(), sweep)
    finally:
        end(processes)
    assert sweep.wait(timeout=300) == 0, output.read_text()
    assert alone.wait(timeout=300) == 0, (tmp_path / "undisturbed.log").read_text()

    results = results_of(folder)
    assert set(results) == set(results_of(undisturbed))
    assert len(results) == 6
    assert len(results[run_id]["resumed_at"]) == 1
    for other in results:
        traces = [pd.read_parquet(where / other / "trace.parquet") for where in (folder, undisturbed)]
        pd.testing.assert_frame_equal(*traces, check_exact=True)
    again = start(on_ray(cluster, folder), tmp_path / "again.log")
    assert again.wait(timeout=100) == 0
    assert results_of(folder) == results
    print(output.read_text())


def test_ctrl_c_saves_and_the_same_command_resumes(start: Start, cluster: Cluster, tmp_path: Path) -> None:
    folder, output = tmp_path / "sweep", tmp_path / "first.log"
    words = [*on_ray(cluster, folder), "max_steps=400", "seed=0"]
    first = start(words, output)
    run_id, worker = next(iter(until(lambda: training(folder), first).items()))
    worker.suspend()
    os.kill(first.pid, signal.SIGINT)
    until(lambda: "stopping" in output.read_text(), first)
    worker.resume()
    assert first.wait(timeout=100) == 130, output.read_text()
    assert "cancelled 2 Ray tasks" in output.read_text()
    assert not (folder / run_id / "result.json").exists()
    assert lock_holder(folder / run_id) is None
    second = start(words, tmp_path / "second.log")
    assert second.wait(timeout=200) == 0, (tmp_path / "second.log").read_text()
    results = results_of(folder)
    assert len(results) == 2
    (step,) = results[run_id]["resumed_at"]
    logs = "".join(path.read_text() for path in cluster.ray_folder.glob("session_*/logs/worker-*.err"))
    assert f"stopped after update {step} of 400" in logs


def test_a_worker_with_another_device_refuses(start: Start, cluster: Cluster, tmp_path: Path) -> None:
    folder, output = tmp_path / "sweep", tmp_path / "sweep.log"
    words = ["seed=0", "hydra.launcher.device=cpu", "hydra.launcher.precision=bf16"]
    sweep = start(on_ray(cluster, folder, *words), output)
    assert sweep.wait(timeout=200) == 1
    assert output.read_text().count("has cpu fp32, and the runs were planned for cpu bf16") == 1  # both tasks say it
    assert not list(folder.glob("*/trace.parquet"))
