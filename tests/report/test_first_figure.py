"""The figure on the first screen of the page."""

import pytest
from fake_arms import make_arm

from warmup_lab.report.first_figure import first_figure, lead_figures

LR50 = {"p_adjusted": None, "differs_in": None}
LR50_OF_SETTING = {"p_adjusted": 0.01, "differs_in": "setting"}


def trend(of, p):
    return {"of": of, "p_adjusted": p}


def comparison_of(*verdicts, trends=(), lr_lines=(), lr_jitter=None):
    """A reference, and an arm with each of the verdicts."""
    arms = [make_arm(0, verdict={"value": value}) for value in ("reference", *verdicts)]
    return {"lr_jitter": lr_jitter, "trends": list(trends), "lr_lines": list(lr_lines), "arms": arms}


@pytest.mark.parametrize(
    ("comparison", "name"),
    [
        pytest.param(comparison_of("inconclusive", lr_jitter={}), "quality", id="no section"),
        pytest.param(comparison_of(lr_jitter={"headline": "Use lr 0.001."}), "lr_jitter", id="ramps"),
        pytest.param(comparison_of("better", trends=[trend("metric", 0.01), trend("failures", 0.04)]), "failures",
                     id="failures before the metric"),
        pytest.param(comparison_of("worse", trends=[trend("metric", 0.01), trend("failures", 0.06)]), "quality",
                     id="metric"),
        pytest.param(comparison_of("inconclusive", lr_lines=[LR50]), "usable_lr", id="undecided sweep over lr"),
        pytest.param(comparison_of(trends=[trend("lr50", 0.01), trend("metric", 0.01)], lr_lines=[LR50]), "usable_lr",
                     id="trend of lr50"),
        pytest.param(comparison_of("worse", trends=[trend("lr50", 0.4), trend("metric", 0.01)], lr_lines=[LR50]),
                     "quality", id="metric in a sweep over lr"),
        pytest.param(comparison_of(trends=[trend("metric", 0.01)], lr_lines=[LR50, LR50_OF_SETTING]), "usable_lr",
                     id="lr50 of a setting"),
        pytest.param(comparison_of("fails_more", "inconclusive"), "failures", id="pairs by failures"),
        pytest.param(comparison_of("fails_more", "worse"), "quality", id="pairs by both"),
        pytest.param(comparison_of("inconclusive"), "quality", id="undecided"),
        pytest.param(comparison_of("both_fail"), "traces", id="all fail"),
        pytest.param(comparison_of(), "traces", id="one arm"),
    ],
)  # fmt: skip
def test_first_figure_shows_the_headline(comparison, name):
    assert first_figure(comparison) == name


def test_learning_rates_are_on_the_first_screen_too():
    assert lead_figures(comparison_of("inconclusive")) == ["quality", "learning_rate"]
