"""Numbers as text: percentages, p-values, intervals, and counts of failures."""

from __future__ import annotations

from collections.abc import Sequence

from warmup_lab.comparison.statistics import Interval
from warmup_lab.comparison.verdicts import Level


def percent_text(percent: float) -> str:
    """Two digits; without an exponent at 100 %.

    >>> percent_text(10), percent_text(2.22), percent_text(100)
    ('10 %', '2.2 %', '100 %')
    """
    return f"{percent:.2g} %" if percent < 99.5 else f"{percent:.0f} %"


def p_text(p: float) -> str:
    """Two digits from 0.001 on, below that the power of ten.

    >>> p_text(0.0312), p_text(0.00000123), p_text(1e-14)
    ('0.031', '1e-6', '1e-14')
    """
    if p >= 1e-3:
        return f"{p:.2g}"
    mantissa, exponent = f"{p:.0e}".split("e")
    return f"{mantissa}e{int(exponent)}"


def interval_text(interval: Interval | None, form: str) -> str:
    """` [0.04, 0.19]`, or '' without an interval."""
    return "" if interval is None else f" [{interval[0]:{form}}, {interval[1]:{form}}]"


def use_text(level: Level) -> str:
    """`Use about 10 % warmup`."""
    return "Use no warmup" if level.warmup_percent == 0 else f"Use about {percent_text(level.warmup_percent)} warmup"


def with_text(level: Level) -> str:
    """`with 10 %`."""
    return "with no warmup" if level.warmup_percent == 0 else f"with {percent_text(level.warmup_percent)}"


def failure_counts(levels: Sequence[Level]) -> str:
    """`With no warmup 11 of 12 runs failed to learn, with 10 % 2 of 12, with 30 % none`."""
    counts = [f"{level.failed.count} of {level.failed.total}" for level in levels]
    parts = [f"{with_text(levels[0])} {counts[0]} runs failed to learn"]
    for level, count in zip(levels[1:], counts[1:], strict=True):
        parts.append(f"{with_text(level)} {count if level.failed.count else 'none'}")
    return capitalised(", ".join(parts))


def shown_levels(levels: Sequence[Level], use: Level) -> list[Level]:
    """All of up to three lengths; of more, the shortest, the recommended and the longest."""
    return list(levels) if len(levels) <= 3 else list(dict.fromkeys((levels[0], use, levels[-1])))


def capitalised(text: str) -> str:
    """The text with a capital first letter; the others stay as they are."""
    return text[:1].upper() + text[1:]
