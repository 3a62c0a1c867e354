"""The pictures of a study's page, drawn from the results beside it."""

from __future__ import annotations

from pathlib import Path

import evidence
import pytest
from redraw import study_figures
from report_files import data_rows

EXPERIMENTS = Path(evidence.__file__).parent


def test_pictures_have_the_means_of_the_page() -> None:
    """0.929, 0.931, 0.927, 0.925 and 0.916 at lr 2e-4 are in the page's table of arms."""
    figures = {figure.name: figure for figure in study_figures(EXPERIMENTS / "ten_percent_pretrained")}
    cells = {(row["lr"], row["percent"]): row["text"] for row in data_rows(figures["learning_rate"].rows[0][0].spec)}
    shown = [cells[2e-4, percent] for percent in (0, 2.5, 10, 20, 50)]
    assert shown == ["0.929", "0.931", "0.927", "0.925", "0.916"]
    page = (EXPERIMENTS / "ten_percent_pretrained" / "README.md").read_text(encoding="utf-8")
    assert all(f"lr=0.0002 | 0 of 6 | {text} " in page for text in shown)


@pytest.mark.parametrize(("study", "drawn"), [("ten_percent_pretrained", False), ("oscillation_vs_warmup", True)])
def test_oscillation_by_an_older_definition_is_not_drawn(study: str, drawn: bool) -> None:
    assert ("oscillation" in {figure.name for figure in study_figures(EXPERIMENTS / study)}) == drawn
