"""Numbers as text, for the page and the terminal."""

from __future__ import annotations


def number(value: float | None) -> str:
    """Four significant digits; `none` for a missing number.

    >>> number(0.123456), number(360), number(None)
    ('0.1235', '360', 'none')
    """
    return "none" if value is None else f"{value:.4g}"


def signed(value: float | None) -> str:
    """Three significant digits and the sign.

    >>> signed(0.012345), signed(-2.0), signed(None)
    ('+0.0123', '-2', 'none')
    """
    return "none" if value is None else f"{value:+.3g}"


def short_signed(value: float | None) -> str:
    """Two significant digits and the sign, for the terminal.

    >>> short_signed(0.12345), short_signed(-0.00987), short_signed(123.4), short_signed(None)
    ('+0.12', '-0.0099', '+123', 'none')
    """
    return "none" if value is None else f"{value:+.2g}" if abs(value) < 100 else f"{value:+.0f}"


def percent(share: float | None) -> str:
    """A share in whole percent.

    >>> percent(0.123), percent(None)
    ('12 %', 'none')
    """
    return "none" if share is None else f"{100 * share:.0f} %"
