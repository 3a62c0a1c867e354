"""Numbers as text."""

from warmup_lab.report.numbers import number, percent, signed


def test_number_has_four_digits():
    assert [number(value) for value in (0.123456, 360, 1e-5)] == ["0.1235", "360", "1e-05"]


def test_signed_has_three_digits_and_a_sign():
    assert [signed(value) for value in (0.012345, -2.0, 0.0)] == ["+0.0123", "-2", "+0"]


def test_percent_is_whole():
    assert [percent(value) for value in (0.123, 0.0, 1.0)] == ["12 %", "0 %", "100 %"]


def test_missing_numbers_are_none():
    assert number(None) == signed(None) == percent(None) == "none"
