"""Titles, units and directions of metrics, and the column that `compare.metric` names."""

import pandas as pd
import pytest

from warmup_lab.config.errors import ConfigError
from warmup_lab.metrics.names import metric_columns, resolve_metric, smaller_is_better, title_and_unit

RUNS = pd.DataFrame({"run_id": ["a"], "arm": ["b"], "lr": [0.1], "whole/roughness": [0.2], "eval_f1": [0.5]})


@pytest.mark.parametrize(
    ("metric", "title", "unit"),
    [
        ("eval_accuracy", "final accuracy", "share of examples"),
        ("late/roughness", "roughness of the loss, last 50 % of updates", "H, label entropy"),
        ("matched/roughness", "roughness of the loss at matched loss, minus that of the reference", "H, label entropy"),
        ("my_metric", "my metric", ""),
    ],
)
def test_title_and_unit(metric, title, unit):
    assert title_and_unit(metric) == (title, unit)


def test_metric_columns_are_the_float_columns_that_describe_results():
    assert metric_columns(RUNS) == ["whole/roughness", "eval_f1"]


@pytest.mark.parametrize(
    ("name", "column"),
    [("roughness", "whole/roughness"), ("late/rho1", "late/rho1"), ("eval_f1", "eval_f1"), ("excess", "excess")],
)
def test_a_metric_without_a_window_is_that_of_the_whole_run(name, column):
    assert resolve_metric(name, RUNS) == column


def test_an_unknown_metric_is_refused_unless_no_run_has_metrics():
    with pytest.raises(ConfigError, match=r"compare\.metric: unknown metric 'roughnes'; did you mean 'roughness'"):
        resolve_metric("roughnes", RUNS)
    assert resolve_metric("roughnes", RUNS[["run_id", "arm", "lr"]]) == "roughnes"


@pytest.mark.parametrize(
    ("metric", "smaller"),
    [
        ("eval_loss", True), ("eval_accuracy", False), ("eval_f1", False), ("eval_matthews_correlation", False),
        ("whole/roughness", True), ("late/rho1", False), ("whole/onset_step", False), ("updates_to_target", True),
    ],
)  # fmt: skip
def test_direction(metric, smaller):
    assert smaller_is_better(metric) == smaller
