"""The examples of docs/library.md and docs/recipes.md run, and the commands of the recipes are valid."""

from __future__ import annotations

import contextlib
import io
import re
import shlex

import pytest
from fake_sweep import make_sweep
from program import ROOT

LIBRARY, RECIPES = ((ROOT / "docs" / name).read_text(encoding="utf-8") for name in ("library.md", "recipes.md"))
BLOCKS = re.findall(r"```python\n(.*?)```(?:\n\n```text\n(.*?)```)?", LIBRARY, flags=re.DOTALL)
OWN_CODE = re.findall(r"```python\n(.*?)```", RECIPES, flags=re.DOTALL)
COMMANDS = [
    command
    for block in re.findall(r"```sh\n(.*?)```", RECIPES, flags=re.DOTALL)
    for command in block.replace("\\\n", " ").splitlines()
]


@pytest.fixture
def sweep_in_runs(tmp_path, monkeypatch):
    """The folder that the example of `load_runs` names, below the working directory."""
    monkeypatch.chdir(tmp_path)
    make_sweep(tmp_path / "runs" / "compare", schedulers=["warmuplinear"], ratios=[0.0, 0.1], lrs=[1e-3])


def run(code):
    """What the code prints."""
    output = io.StringIO()
    with contextlib.redirect_stdout(output):
        exec(compile(code, "example", "exec"), {})
    return output.getvalue()


@pytest.mark.trains
@pytest.mark.usefixtures("sweep_in_runs")
@pytest.mark.parametrize(("code", "expected"), BLOCKS, ids=range(len(BLOCKS)))
def test_example_runs_and_prints_what_it_shows(code, expected):
    printed = run(code)
    assert not expected or printed == expected


def test_every_example_is_found():
    assert len(BLOCKS) == LIBRARY.count("```python")
    assert (len(OWN_CODE), len(COMMANDS)) == (RECIPES.count("```python"), RECIPES.count("python train.py -m task") + 4)


@pytest.mark.trains
@pytest.mark.parametrize("code", OWN_CODE, ids=range(len(OWN_CODE)))
def test_own_code_of_a_recipe_runs(code):
    """With fewer updates: what comes out depends on the processor."""
    run(code.replace("UPDATES, H = 150", "UPDATES, H = 40"))


@pytest.mark.parametrize("command", [text for text in COMMANDS if "train.py" in text])
def test_keys_of_a_recipe_exist(command, train_py_here):
    words = [word for word in shlex.split(command)[2:] if word != "-m"]
    single = [word.replace("0,0.1", "0").replace("range(6)", "0") for word in words]
    done = train_py_here(*single, "--cfg", "job")
    assert done.returncode == 0, done.stderr
    assert "label_column: kind" in done.stdout
