"""The service of this process if other code has started it, for example a notebook: used, and left as it is."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import wandb
from wandb_offline import messages, only_offline_run, start, update_row, wandb_row

from warmup_lab.tracking import service


@pytest.fixture
def users_run(tmp_path: Path) -> Iterator[None]:
    """A run that the user has opened before, with a row."""
    (tmp_path / "user").mkdir()
    settings = wandb.Settings(silent=True, console="off", disable_git=True, x_disable_stats=True)
    run = wandb.init(mode="offline", project="theirs", dir=str(tmp_path / "user"), settings=settings)
    run.log({"value": 1})
    yield
    run.log({"value": 2})
    run.finish()
    assert [row["value"] for row in only_offline_run(tmp_path / "user").history] == [1, 2]


@pytest.mark.usefixtures("users_run")
def test_a_run_is_recorded_beside_that_of_the_user(tmp_path, caplog):
    tracker = start(tmp_path / "ours", history=[update_row(0)])
    tracker.log(update_row(1))
    tracker.finish({"status": "completed"})
    assert only_offline_run(tmp_path / "ours").history == [wandb_row(0), wandb_row(1)]
    assert [text for text in messages(caplog) if "W&B is offline" not in text] == []


@pytest.mark.usefixtures("users_run")
def test_a_call_that_takes_too_long_does_not_end_the_run_of_the_user(tmp_path):
    tracker = start(tmp_path / "ours", history=[update_row(0)])
    tracker.call_with_run(lambda _: time.sleep(0.5), 0.1)  # type: ignore[attr-defined]
    tracker.log(update_row(1))
    tracker.finish({})
    assert only_offline_run(tmp_path / "ours").history == [wandb_row(0), wandb_row(1)]


@pytest.mark.usefixtures("users_run")
def test_the_connection_of_the_user_stays_open():
    """Also where wandb's settings turn out to be wrong, and when this process exits."""
    service.close_connection()


def test_the_first_run_starts_a_service_again_after_the_user_has_ended_theirs(tmp_path):
    (tmp_path / "user").mkdir()
    wandb.init(mode="offline", dir=str(tmp_path / "user"), settings=wandb.Settings(silent=True)).finish()
    wandb.teardown()
    tracker = start(tmp_path / "ours", history=[update_row(0)])
    tracker.finish({})
    assert service.current_service() is not None
    assert only_offline_run(tmp_path / "ours").history == [wandb_row(0)]
