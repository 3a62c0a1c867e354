"""The summary run of a sweep, with the real wandb client: offline and against a server on the loopback."""

from __future__ import annotations

import io
import json
import math
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from PIL import Image
from program import run
from program import start as start_program
from wandb_offline import OFFLINE, messages, offline_runs, only_offline_run, start, update_row
from wandb_standin import StandIn

from warmup_lab.config.schema import TrackingConfig
from warmup_lab.system import sweep_lock
from warmup_lab.tracking import command
from warmup_lab.tracking.summary import SummaryRun, log_summary_run

TABLE = pd.DataFrame({"arm": ["w0", "w36"], "seed": [0, 1], "eval_loss": [0.5, math.nan], "error": [None, "it broke"]})
SERIES: dict[str, dict[str, list[tuple[int, float | None]]]] = {
    "roughness": {"warmuplinear lr0.001": [(0, 0.2), (36, 0.1)], "warmupcosine": [(18, 0.3), (36, None)]},
    "excess": {"warmuplinear lr0.001": [(0, None)]},
}
PICTURE = Image.new("RGB", (3, 2), (0, 114, 178))
LINE = "warmuplinear-w36 optimizer.eps=1e-8"
MEDIA = ("runs", "charts/roughness_table", "figures/oscillation")
HEADLINE = "Use about 10 % warmup."
REPORT = "<p>the report"


def log_summary(directory: Path, config: TrackingConfig) -> None:
    figure = directory / "oscillation.png"
    PICTURE.save(figure)
    report = directory / "report.html"
    report.write_text(REPORT)
    summary_run = SummaryRun(
        name="ten_percent",
        group="ten_percent",
        directory=directory,
        config={"study": "ten_percent"},
        tables={"runs": TABLE},
        series=SERIES,
        figures=[figure],
        files=[report],
        tags=("summary", "sst2"),
        notes=HEADLINE,
        summary={"verdict": "inconclusive", "lr50": {LINE: 0.002}},
    )
    log_summary_run(config, summary_run)


def check_history(history: list[dict[str, Any]], read: Callable[[str], bytes]) -> None:
    """The step of a point is its number of warmup updates, so that it has the right x value over either axis."""
    points = [{key: row[key] for key in row if key.startswith(("rough", "warm", "_step"))} for row in history]
    assert points == [
        {"_step": 0, "warmup_steps": 0, "roughness/warmuplinear lr0.001": 0.2},
        {"_step": 18, "warmup_steps": 18, "roughness/warmupcosine": 0.3},
        {"_step": 36, "warmup_steps": 36, "roughness/warmuplinear lr0.001": 0.1},
    ]
    media = history[-1]
    table = json.loads(read(media["runs"]["path"]))
    assert table == {"columns": list(TABLE), "data": [["w0", 0, 0.5, None], ["w36", 1, None, "it broke"]]}
    chart = json.loads(read(media["charts/roughness_table"]["path"]))
    assert chart == {
        "columns": ["step", "lineKey", "lineVal"],
        "data": [[0, "warmuplinear lr0.001", 0.2], [36, "warmuplinear lr0.001", 0.1], [18, "warmupcosine", 0.3]],
    }
    with Image.open(io.BytesIO(read(media["figures/oscillation"]["path"]))) as figure:
        assert figure.convert("RGB").tobytes() == PICTURE.tobytes()


def check_summary(summary: dict[str, Any]) -> None:
    assert summary["verdict"] == "inconclusive"
    assert summary[f"lr50/{LINE}"] == 0.002, "a dot in a name does not split it"
    assert [key for key in summary if key.startswith(("roughness", "warmup"))] == [], "the last length is no summary"


def nested_media(row: dict[str, Any]) -> dict[str, Any]:
    """An offline row in the form of an online one: `runs/path` becomes `path` inside `runs`."""
    nested: dict[str, Any] = {}
    for key, value in row.items():
        name = next((name for name in MEDIA if name + "/" in key), None)
        if name:
            nested.setdefault(name, {})[key.removeprefix(name + "/")] = value
        else:
            nested[key] = value
    return nested


def test_summary_run_offline(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    for _ in range(2):  # a rebuilt report replaces the earlier summary run
        log_summary(tmp_path, OFFLINE)
    found = only_offline_run(tmp_path)
    check_history(
        [nested_media(row) for row in found.history], lambda path: (found.folder / "files" / path).read_bytes()
    )
    assert (found.run.job_type, found.run.run_group) == ("summary", "ten_percent")
    assert (list(found.run.tags), found.run.notes) == (["summary", "sst2"], HEADLINE)
    check_summary(found.summary)
    defined = [record.metric for record in found.records if record.HasField("metric")]
    assert {metric.name: metric.step_metric for metric in defined} == {
        "warmup_steps": "",
        "roughness/warmuplinear lr0\\.001": "warmup_steps",
        "roughness/warmupcosine": "warmup_steps",
        "excess/warmuplinear lr0\\.001": "warmup_steps",
    }
    (report,) = [
        record.artifact for record in found.records if record.HasField("artifact") and record.artifact.type == "report"
    ]
    assert report.name == "ten_percent-report"
    (file,) = report.manifest.contents
    assert file.path == "report.html"
    assert Path(file.local_path).is_relative_to(tmp_path), "nothing is written to the home folder"
    assert Path(file.local_path).read_text() == REPORT
    assert messages(caplog) == []


def test_summary_run_online(tmp_path: Path, server: StandIn, caplog: pytest.LogCaptureFixture) -> None:
    log_summary(tmp_path, TrackingConfig())
    found = next(received for run_id, received in server.runs.items() if run_id.startswith("summary"))
    check_history(found.history, lambda path: found.files[path])
    started = found.upserts[0]
    assert (started["jobType"], started["tags"], started["notes"]) == ("summary", ["summary", "sst2"], HEADLINE)
    check_summary(found.summary)
    assert REPORT.encode() in server.everything
    assert found.exit_code == 0
    assert messages(caplog) == []


def test_tracking_none_has_no_summary_run(tmp_path: Path) -> None:
    log_summary(tmp_path, TrackingConfig(kind="none"))
    assert not (tmp_path / "wandb").exists()


def test_one_sync_uploads_all_offline_runs(tmp_path: Path, server: StandIn) -> None:
    for run_id in ("a" * 12, "b" * 12):
        start(tmp_path, run_id=run_id, history=[update_row(0), update_row(1)]).finish({})
    log_summary(tmp_path, OFFLINE)
    done = run([sys.executable, "-m", "wandb", "sync", "--yes", tmp_path / "wandb"], cwd=tmp_path, timeout=60)
    assert done.returncode == 0, done.stderr
    received = {run_id.split("-")[0]: received for run_id, received in server.runs.items()}
    assert set(received) >= {"a" * 12, "b" * 12, "summary"}
    assert [row["_step"] for row in received["a" * 12].history] == [0, 1]
    assert REPORT.encode() in server.everything, "the artifact of an offline run is uploaded too"


# ------------------------------------------------------------------------------------- a broken server during a sweep

WORKER = """
import sys, time
from pathlib import Path
from warmup_lab.config import TrackingConfig
from warmup_lab.tracking import TrackedRun, start_tracker
tracker = start_tracker(TrackingConfig(), TrackedRun("c" * 12, "n", Path(sys.argv[1]), {}, "ten_percent"))
tracker.log({"step": 0, "loss": 1.0})
tracker.finish({"status": "completed"})
print("trained", flush=True)
while not Path(sys.argv[2]).exists():  # a worker of joblib stays until its parent ends
    time.sleep(0.05)
"""


def test_a_mute_server_costs_a_sweep_its_time_once_and_nothing_is_lost(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    """Two runs in this process, one in a worker, and the summary."""
    monkeypatch.setattr(command, "WAIT_SECONDS", 2.0)
    with StandIn(mute=True) as server, sweep_lock(tmp_path):
        server.use(monkeypatch)
        worker = start_program([sys.executable, "-W", "error", "-c", WORKER, tmp_path, tmp_path / "end"])
        assert worker.stdout
        assert worker.stdout.readline() == "trained\n", "the worker does not wait for W&B"
        for run_id in ("a" * 12, "b" * 12):
            tracker = start(tmp_path, TrackingConfig(), run_id=run_id, history=[update_row(0), update_row(1)])
            tracker.finish({"status": "completed"})
        assert offline_runs(tmp_path) == []
        log_summary(tmp_path, TrackingConfig())
        (tmp_path / "end").touch()
        _, errors = worker.communicate(timeout=30)
    assert worker.returncode == 0
    assert "Traceback" not in errors
    found = {run.run.run_id.partition("-")[0]: run for run in offline_runs(tmp_path)}
    assert {name: run.steps for name, run in found.items() if name != "summary"} == {
        "a" * 12: [0, 1], "b" * 12: [0, 1], "c" * 12: [0]}  # fmt: skip
    assert found["summary"].summary["verdict"] == "inconclusive"
    assert {run.summary["status"] for name, run in found.items() if name != "summary"} == {"completed"}
    assert len([line for line in messages(caplog) if line.startswith("W&B is offline: no answer")]) <= 1
    path = f"{tmp_path}/wandb"
    said = [line for line in capfd.readouterr().err.splitlines() if line.startswith("W&B: ")]
    assert said == [
        "W&B: 4 runs (one is the summary) are offline: no answer within 2 seconds. To view them: "
        f"wandb leet {path}; to upload them: wandb sync {path}"
    ]
    assert list(tmp_path.glob(".tracking-*")) == []


def test_after_a_fault_later_runs_of_the_sweep_do_not_ask_the_server(
    tmp_path: Path, server: StandIn, caplog: pytest.LogCaptureFixture
) -> None:
    server.refuse = True
    with sweep_lock(tmp_path):
        start(tmp_path, TrackingConfig(), run_id="a" * 12).finish({})
        command.command_of(tmp_path).wait()
        asked = len(server.operations)
        assert asked > 0
        start(tmp_path, TrackingConfig(), run_id="b" * 12).finish({})
        log_summary(tmp_path, TrackingConfig())
    assert len(server.operations) == asked
    assert len(offline_runs(tmp_path)) == 3
    assert len(messages(caplog)) == 1
