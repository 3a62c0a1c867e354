"""The examples of docs/library.md: each block of Python runs, and prints what the block of text after it shows."""

from __future__ import annotations

import contextlib
import io
import re

import pytest
from fake_sweep import make_sweep
from program import ROOT

PAGE = (ROOT / "docs" / "library.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"```python\n(.*?)```(?:\n\n```text\n(.*?)```)?", PAGE, flags=re.DOTALL)


@pytest.fixture
def sweep_in_runs(tmp_path, monkeypatch):
    """The folder that the example of `load_runs` names, below the working directory."""
    monkeypatch.chdir(tmp_path)
    make_sweep(tmp_path / "runs" / "compare", schedulers=["warmuplinear"], ratios=[0.0, 0.1], lrs=[1e-3])


@pytest.mark.trains
@pytest.mark.usefixtures("sweep_in_runs")
@pytest.mark.parametrize(("code", "expected"), BLOCKS, ids=range(len(BLOCKS)))
def test_example_runs_and_prints_what_it_shows(code, expected):
    output = io.StringIO()
    with contextlib.redirect_stdout(output):
        exec(compile(code, "docs/library.md", "exec"), {})
    assert not expected or output.getvalue() == expected


def test_every_example_is_found():
    assert len(BLOCKS) == PAGE.count("```python")
