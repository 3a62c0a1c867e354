"""The figures whose first chart is on the first screen of the page: what the headline says, and lr with warmup."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

LEVEL = 0.05
"""A test is decided if its adjusted p is below this."""


def lead_figures(comparison: Mapping[str, Any]) -> list[str]:
    """The figure of the headline, and that of the learning rates. A sweep of one lr has no rows of the latter."""
    return list(dict.fromkeys((first_figure(comparison), "learning_rate")))


def first_figure(comparison: Mapping[str, Any]) -> str:
    """The name of the figure, in the order in which the headline decides.

    Trends come before pairs, and failures before the metric. Where the learning rate was swept, failures are shown over
    the learning rate. Where most runs failed with every combination, the losses show why. They are all
    that there is to see of a single arm.
    """
    if comparison.get("recommend"):
        return "recommend"
    if comparison["lr_jitter"]:
        return "lr_jitter"
    decided = {trend["of"] for trend in comparison["trends"] if trend["p_adjusted"] < LEVEL}
    if "failures" in decided:
        return "failures"
    if comparison["lr_lines"] and ("metric" not in decided or _shows_lr50(comparison, decided)):
        return "usable_lr"
    verdicts = {arm["verdict"]["value"] for arm in comparison["arms"]}
    if len(comparison["arms"]) == 1 or ("both_fail" in verdicts and verdicts <= {"both_fail", "reference"}):
        return "traces"
    by_failures = verdicts & {"fails_more", "fails_less"} and not verdicts & {"better", "worse"}
    return "failures" if by_failures and "metric" not in decided else "quality"


def _shows_lr50(comparison: Mapping[str, Any], decided: set[str]) -> bool:
    """Whether lr50 is shown to differ, by a trend over the warmup or between two settings."""
    p_values = [line["p_adjusted"] for line in comparison["lr_lines"] if line["differs_in"] == "setting"]
    return "lr50" in decided or any(p is not None and p < LEVEL for p in p_values)
