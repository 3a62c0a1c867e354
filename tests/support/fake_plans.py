"""Plans and results of a sweep in which nothing is trained."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from warmup_lab.config.errors import ConfigError
from warmup_lab.config.schema import CompareConfig
from warmup_lab.runs.stored_run import RETRAIN, with_digests


def plan_cell(overrides: Sequence[str]) -> Any:
    """A plan whose run id depends on `id=...` in the overrides. `id=bad...` is invalid."""
    values = dict(override.split("=", 1) for override in overrides)
    run_id = values["id"]
    if run_id.startswith("bad"):
        raise ConfigError(f"id={run_id} is bad")
    config = SimpleNamespace(study="study", compare=CompareConfig(), force=values.get("force") == "true")
    strategy = {"scheduler": "warmuplinear", "seed": 0, "total_steps": 10}
    return SimpleNamespace(
        run_id=run_id,
        name=f"name-{run_id}",
        arm_id=f"arm-{run_id}",
        strategy=lambda: strategy,
        requested_warmup="10 %",
        config=config,
    )


def write_result(folder: Path, status: str = "completed", **values: Any) -> None:
    """A result in the folder of a run, with empty tables."""
    folder.mkdir(parents=True, exist_ok=True)
    for name in ("trace.parquet", "evals.parquet"):
        (folder / name).touch()
    result = {"schema": 2, "run_id": folder.name, "status": status, "failed_to_learn": False, "strategy": {}}
    result |= {"metrics": {}, "speed": {}, "error": None, **values}
    (folder / "result.json").write_text(json.dumps(with_digests(folder, result)))
    (folder / RETRAIN).unlink(missing_ok=True)
