"""The numbers of the pages in experiments/ are those of the results beside them."""

from __future__ import annotations

from pathlib import Path

import evidence
import pytest

EXPERIMENTS = Path(evidence.__file__).parent


@pytest.mark.parametrize("page", evidence.PAGES, ids=lambda page: f"{page.parent.name}-{page.stem}")
def test_every_block_is_what_the_results_give(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    assert evidence.with_blocks(text, page.parent) == text


def test_a_block_changes_with_one_cell_of_its_table(tmp_path: Path) -> None:
    study = EXPERIMENTS / "ten_percent_pretrained"
    (tmp_path / "experiment.yaml").write_bytes((study / "experiment.yaml").read_bytes())
    rows = (study / "results.csv").read_text(encoding="utf-8").splitlines()
    cells = rows[5].split(",")
    cells[-1] = "0.001"  # seconds: no statistic uses them
    (tmp_path / "results.csv").write_text("\n".join([*rows[:5], ",".join(cells), *rows[6:]]) + "\n", encoding="utf-8")
    assert evidence.numbers(tmp_path, "results.csv") != evidence.numbers(study, "results.csv")
