"""`sweep.yaml` with the real `wandb sweep` and `wandb agent`, against a server on the loopback."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import yaml
from wandb_standin import SWEEP, StandIn

from warmup_lab.tracking.tracker import _wandb_id

ROOT = Path(__file__).resolve().parents[2]
TINY = {"max_steps": 2, "task.num_train": 64, "task.num_validation": 40, "num_threads": 1, "device": "cpu"}


def _sweep() -> dict[str, Any]:
    loaded: dict[str, Any] = yaml.safe_load((ROOT / "sweep.yaml").read_text())
    return loaded


def _environment(home: Path, **more: str) -> dict[str, str]:
    """Nothing of the user's W&B; `python` is the one that runs the tests."""
    own = {key: value for key, value in os.environ.items() if not key.startswith("WANDB_")}
    places = {name: str(home / name) for name in ("NETRC", "WANDB_CONFIG_DIR", "WANDB_CACHE_DIR", "WANDB_DATA_DIR")}
    path = os.pathsep.join([str(Path(sys.executable).parent), own.get("PATH", "")])
    return own | places | {"PATH": path, "WANDB_ERROR_REPORTING": "false"} | more


def _run(command: list[str], directory: Path, environment: dict[str, str], seconds: float) -> str:
    """What it says. Where it takes longer, it is stopped as by Ctrl-C: an agent then ends its runs, too."""
    with subprocess.Popen(
        command, cwd=directory, env=environment, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    ) as process:
        try:
            said, _ = process.communicate(timeout=seconds)
        except subprocess.TimeoutExpired:
            for _ in range(3):
                process.send_signal(signal.SIGINT)
                time.sleep(1)
            process.kill()
            raise
    assert process.returncode == 0, said
    return said


def test_an_agent_runs_the_sweep_and_its_runs_arrive_under_its_ids(tmp_path: Path) -> None:
    sweep = _sweep() | {"program": str(ROOT / "train.py")}
    sweep["parameters"] |= {key: {"value": value} for key, value in TINY.items()}
    (tmp_path / "sweep.yaml").write_text(yaml.safe_dump(sweep))
    wandb = [sys.executable, "-m", "wandb"]
    with StandIn(cells=2) as server:
        given = {"WANDB_BASE_URL": server.url, "WANDB_API_KEY": "0123456789" * 4}
        environment = _environment(tmp_path / "home", **given)
        said = _run([*wandb, "sweep", "sweep.yaml"], tmp_path, environment, 60)
        assert f"wandb agent someone/warmup-lab/{SWEEP}" in said
        said = _run([*wandb, "agent", f"someone/warmup-lab/{SWEEP}"], tmp_path, environment, 150)

    assert list(server.runs) == list(server.given) == ["agent-0", "agent-1"], said
    assert [cell["warmup_ratio"] for cell in server.given.values()] == [0, 0.02]
    for run_id, run in server.runs.items():
        assert [row["_step"] for row in run.history] == [0, 1]
        assert run.summary["eval_loss"] > 0
        assert run.config["warmup_ratio"] == server.given[run_id]["warmup_ratio"]
        assert run.upserts[0]["sweep"] == SWEEP
        assert run.exit_code == 0


def test_the_agents_id_is_used_in_a_sweep_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WANDB_RUN_ID", "agent-0")
    monkeypatch.delenv("WANDB_SWEEP_ID", raising=False)
    assert _wandb_id("0123456789ab", None) == "0123456789ab"
    monkeypatch.setenv("WANDB_SWEEP_ID", SWEEP)
    assert _wandb_id("0123456789ab", None) == "agent-0"


def test_every_value_of_the_sweep_is_accepted(tmp_path: Path) -> None:
    """Each value composes, and is in the configuration afterwards: the longest axis says how many commands it takes."""
    sweep = _sweep()
    assert (sweep["program"], sweep["method"]) == ("train.py", "grid")
    assert sweep["metric"] == {"name": "eval_loss", "goal": "minimize"}
    axes = {key: item["values"] for key, item in sweep["parameters"].items()}
    for place in range(max(len(values) for values in axes.values())):
        cell = {key: values[place % len(values)] for key, values in axes.items()}
        words = [f"{key}={value}" for key, value in cell.items()]
        command = [sys.executable, str(ROOT / "train.py"), "--cfg", "job", *words]
        composed = yaml.safe_load(_run(command, tmp_path, _environment(tmp_path / "home"), 60))
        assert composed | {"scheduler": composed["scheduler"]["name"]} == composed | cell


def test_a_multirun_goes_online_with_a_run_a_run_and_a_summary(tmp_path: Path) -> None:
    with StandIn() as server:
        environment = _environment(tmp_path, WANDB_API_KEY="a" * 40, WANDB_BASE_URL=server.url)
        command = [sys.executable, str(ROOT / "train.py"), "-m", "task.num_train=64", "task.num_validation=40",
                   "max_steps=2", "warmup_ratio=0,0.5", "study=online", "model.hidden_size=32"]  # fmt: skip
        _run(command, tmp_path, environment, 120)
        of_type = {"train": [], "summary": []}
        for run in server.runs.values():
            if run.upserts:  # the rest are files of the summary's table, which arrive under no run
                of_type[run.upserts[0]["jobType"]].append(run)
    trained, (summary,) = of_type["train"], of_type["summary"]
    assert len(trained) == 2
    for run in trained:
        assert [row["_step"] for row in run.history] == [0, 1]
        assert run.upserts[0]["groupName"] == "online"
        assert run.summary["eval_loss"] > 0
    assert any(name.startswith("media/images/figures/oscillation") for name in summary.files)
