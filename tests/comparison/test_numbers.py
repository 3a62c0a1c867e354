"""Numbers as text."""

import pytest

from warmup_lab.comparison.numbers import interval_text, p_text, percent_text


@pytest.mark.parametrize(
    ("p", "text"), [(1.0, "1"), (0.5, "0.5"), (0.0312, "0.031"), (0.001, "0.001"), (9.6e-4, "1e-3"), (1.3e-14, "1e-14")]
)
def test_p_text(p, text):
    assert p_text(p) == text


def test_percent_text_has_two_digits():
    assert [percent_text(percent) for percent in (0.0, 2.222, 10.0, 50.0)] == ["0 %", "2.2 %", "10 %", "50 %"]
    assert [percent_text(percent) for percent in (99.4, 99.9, 100.0)] == ["99 %", "100 %", "100 %"], "no exponent"


def test_interval_text():
    assert interval_text((0.125, 8.0), ".2f") == " [0.12, 8.00]"
    assert interval_text((-0.5, 0.25), "+.3g") == " [-0.5, +0.25]"
    assert interval_text(None, ".2f") == ""
