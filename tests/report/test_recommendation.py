"""The card of the recommendation at the top of the page, drawn from made-up sections."""

import pytest

from warmup_lab.report.page import page_environment

CARD = {
    "lr": 1e-3, "lr_tried": [1e-3], "lr_at_edge": None,
    "warmup": {"steps": 3, "percent": 10, "name": "warmuplinear"}, "arm": "a", "seeds": 6,
    "metric": "eval_loss", "title": "final evaluation loss", "mean": 0.2,
    "interval": [0.1, 0.3], "failed": {"count": 0, "total": 6, "share": 0.0, "low": 0.0, "high": 0.4},
    "decided": False, "sentence": "Use lr 0.001.", "unsure": [], "next_command": "python train.py",
    "train_command": None,
}  # fmt: skip


def test_card_does_not_repeat_the_headline():
    section = CARD | {"sentence": "Use lr 0.001."}
    draw = page_environment().get_template("recommendation.html.jinja").module.recommendation
    assert "Use lr 0.001." in draw(section, "Undecided.")
    assert "Use lr 0.001." not in draw(section, "Use lr 0.001.")


@pytest.mark.parametrize(
    ("changes", "shown", "hidden"),
    [
        pytest.param({"decided": True}, ["Decided by test", "Use it"], ["Run next"], id="decided"),
        pytest.param({"interval": None, "seeds": 1}, ["of 1 seed<"], ["mean of all", "interval 0.1"], id="one seed"),
        pytest.param({"lr": None, "warmup": None, "mean": None, "arm": None, "next_command": None},
                     ["Nothing to recommend yet"], ["<dt>", "<pre"], id="nothing"),
        pytest.param({"basis": "Decided by test: all others are worse.", "warmup_decided": True, "setting": "eps=1e-8",
                      "next_note": "About 12 new seeds."},
                     ["Decided by test: all others are worse.", "Warmup decided by test<", "eps=1e-8",
                      "About 12 new seeds."], ["Use lr 0.001."], id="warmup decided"),
        pytest.param({"basis": "A trend is shown.", "effect_shown": True},
                     ["A trend is shown.", "Effect of the warmup shown, not its best length<"], ["not decided"],
                     id="effect shown"),
    ],
)  # fmt: skip
def test_card_is_drawn_from_the_section_alone(changes, shown, hidden):
    text = page_environment().get_template("recommendation.html.jinja").module.recommendation(CARD | changes)
    assert [part for part in shown if part not in text] == []
    assert [part for part in hidden if part in text] == []
