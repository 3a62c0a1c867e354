"""Arms as in `comparison.json`, with numbers that a test chooses."""

from __future__ import annotations

from typing import Any


def make_arm(warmup_steps: int, **changes: Any) -> dict[str, Any]:
    """An arm of 6 runs of 100 updates that all learned. `changes` replaces keys, such as `lr` or `metrics`."""
    arm = {
        "scheduler": "warmuplinear",
        "warmup": "linear",
        "setting": "",
        "lr": 1e-3,
        "warmup_steps": warmup_steps,
        "total_steps": 100,
        "num_learned": 6,
        "failed": failures(0, 6),
        "verdict": {"value": "equivalent"},
        "metrics": {},
    } | changes
    return {"name": f"{arm['scheduler']}-w{warmup_steps} lr={arm['lr']:g}"} | arm


def failures(count: int, total: int, low: float = 0.0, high: float = 1.0) -> dict[str, Any]:
    """A failure rate and its interval."""
    return {"count": count, "total": total, "share": count / total if total else None, "low": low, "high": high}


def metric(mean: float | None, low: float | None = None, high: float | None = None, **more: Any) -> dict[str, Any]:
    """A metric of 6 runs; `more` are the keys of the difference from the reference."""
    return {"num_runs": 6, "mean": mean, "interval": None if low is None else [low, high]} | more
