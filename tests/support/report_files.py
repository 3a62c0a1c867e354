"""Reading the files of a report."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any


def read_strict_json(text: str) -> Any:
    """JSON without NaN and infinity."""

    def refuse(name: str) -> None:
        raise AssertionError(f"{name} is not JSON")

    return json.loads(text, parse_constant=refuse)


def arm_of(comparison: dict[str, Any], name: str) -> dict[str, Any]:
    """The arm with this name in `comparison.json`."""
    return next(arm for arm in comparison["arms"] if arm["name"] == name)


def leaves(value: Any) -> list[Any]:
    """All values of nested dicts and lists."""
    if isinstance(value, dict):
        value = list(value.values())
    if isinstance(value, list):
        return [leaf for entry in value for leaf in leaves(entry)]
    return [value]


def read_specs(folder: Path) -> dict[str, Any]:
    """The Vega-Lite specifications in `report.html`, by the id of the chart."""
    page = (folder / "report.html").read_text()
    specs: dict[str, Any] = json.loads(page.partition('id="specs">')[2].partition("</script>")[0])
    return specs


def data_rows(spec: dict[str, Any]) -> list[dict[str, Any]]:
    """All rows of data of a chart."""
    return [row for rows in spec["datasets"].values() for row in rows]
