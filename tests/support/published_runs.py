"""Finished runs as two machines publish them: each has a scratch folder of its own."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from unittest import mock

from warmup_lab.runs import Guessing, PublishedRun, StepTable, TrainingLog, published_run, write_logged_run
from warmup_lab.runs.output import output_folder
from warmup_lab.runs.store import Store

RUN = "0123456789ab"


def machine(url: str, scratch: Path, loss: float | None = None, *, run: str = RUN) -> PublishedRun:
    """The run on a machine with this scratch folder; with `loss`, it is finished there and not published."""
    with mock.patch.dict("os.environ", WARMUP_LAB_SCRATCH=str(scratch)):
        directory = output_folder(url) / "sweep" / run
        published = published_run(url, directory)
    assert published is not None
    if loss is not None:
        write_finished(directory, loss)
    return published


def write_finished(directory: Path, loss: float) -> None:
    trace = StepTable.from_lists({"step": [0, 1], "lr": [0.1, 0.1], "loss": [0.7, loss]})
    evals = StepTable.from_lists({"step": [2], "loss": [loss], "accuracy": [0.5]})
    log = TrainingLog(trace, evals, every=1, total_steps=2, diverged=False)
    write_logged_run(directory, {"run_id": RUN, "study": "s", "strategy": {"seed": 0}}, log, Guessing(0.693, 0.5))


def before_result(action: Callable[[], object]):
    """Calls `action` once, when the other files of a run are published and `result.json` is next."""
    create, calls = Store.create, []

    def late(self: Store, name: str, content: bytes) -> bool:
        if name == "result.json" and not calls:
            calls.append(action)
            action()
        return create(self, name, content)

    return mock.patch.object(Store, "create", late)


def check_two_writers(url: str, folder: Path, *, first_to_start_wins: bool) -> None:
    """The second writer publishes all of its files while the first is between its tables and its `result.json`."""
    first, second = machine(url, folder / "a", 0.3), machine(url, folder / "b", 0.4)
    results = {}
    if first_to_start_wins:
        with before_result(lambda: results.update(first=first.publish_result())):
            results["second"] = second.publish_result()
        loss = 0.3
    else:
        with before_result(lambda: results.update(second=second.publish_result())):
            results["first"] = first.publish_result()
        loss = 0.4
    assert results["first"] == results["second"]
    assert results["first"]["metrics"]["eval_loss"] == loss
    digest = results["first"]["sha256"][:16]
    assert sorted(first.store.list()) == [f"{digest}/evals.parquet", f"{digest}/trace.parquet", "result.json"]
    traces = {(run.directory / "trace.parquet").read_bytes() for run in (first, second)}
    assert len(traces) == 1
