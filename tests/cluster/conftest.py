"""These tests start clusters. They run only where they are named, as in `make test-slurm`."""

from __future__ import annotations

from pathlib import Path

import pytest


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """Ignores this folder unless an argument of pytest is a file in it."""
    given = [Path(argument.partition("::")[0]).resolve() for argument in config.args]
    if collection_path.suffix == ".py" and collection_path.resolve() not in given:
        return True
    return None
