"""The plain sentences of a report."""

import pytest

from warmup_lab.comparison.summary import what_was_held_equal


def warmup(shape: str, steps: int, t_eff: float, asked: str = "10 %") -> dict[str, object]:
    return {"warmup": shape, "warmup_steps": steps, "t_eff": t_eff, "asked": asked, "total_steps": 341}


@pytest.mark.parametrize(
    ("warmups", "sentence"),
    [
        ([warmup("linear", 35, 18.0), warmup("linear", 18, 9.5, "5 %")], ""),
        (
            [warmup("linear", 35, 18.0), warmup("sqrt", 26, 17.794), warmup("exponential(rate=5)", 91, 18.087)],
            " Warmups of 3 shapes (linear, sqrt, exponential(rate=5)) have equal T_eff (updates held back in all): "
            "17.79 to 18.09.",
        ),
        (
            [warmup("linear", 35, 18.0), warmup("sqrt", 35, 23.8)],
            " Warmups of 2 shapes (linear, sqrt) have equal length (35 updates) but different T_eff (updates held back "
            "in all): 18 to 23.8.",
        ),
        (
            [warmup("linear", 35, 18.0), warmup("sqrt", 26, 17.794), warmup("radam", 341, 250.0, "")],
            " Warmups of 2 shapes (linear, sqrt) have equal T_eff (updates held back in all): 17.79 to 18. Not "
            "matched: radam (T_eff 250).",
        ),
        (
            [warmup("linear", 35, 18.0), warmup("radam", 341, 250.0, "")],
            " Warmups of 2 shapes (linear, radam) are not matched: no two were asked for alike.",
        ),
    ],
)
def test_what_was_held_equal(warmups, sentence):
    assert what_was_held_equal(warmups) == sentence
