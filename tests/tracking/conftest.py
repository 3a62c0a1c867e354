"""Fixtures: no W&B settings of the user, and a W&B server on the loopback."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from wandb_offline import no_settings_of_the_user
from wandb_standin import StandIn


@pytest.fixture(autouse=True)
def _own_wandb(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    with no_settings_of_the_user(tmp_path / "home", monkeypatch):
        yield


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[StandIn]:
    """A server that the client uses, with a key."""
    with StandIn() as standin:
        standin.use(monkeypatch)
        yield standin
