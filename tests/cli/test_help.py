"""The text of `--help`."""

import re
import subprocess
import sys

import pytest
from program import ROOT, python

from warmup_lab.cli.help import WIDTH
from warmup_lab.cli.keys import known_keys
from warmup_lab.config import GROUPS

PRINT_HELP = f"""
import sys
from pathlib import Path
sys.argv = [{str(ROOT / "train.py")!r}, "--help", "optimizer=sgd", "seed=7"]
import runpy
try:
    runpy.run_path(sys.argv[0], run_name="__main__")
finally:
    print("LOADED", *sys.modules)
"""


@pytest.fixture(scope="module")
def printed() -> tuple[str, set[str]]:
    """What `--help` prints in a new process, and the modules that it loaded."""
    text, _, modules = python(PRINT_HELP).partition("LOADED ")
    return text, set(modules.split())


def test_help_loads_neither_torch_nor_transformers(printed):
    assert not {"torch", "transformers", "datasets", "wandb"} & printed[1]
    assert "hydra" in printed[1]


def test_a_reader_that_leaves_early_is_no_error():
    """As in `train.py --help | head`."""
    command = [sys.executable, str(ROOT / "train.py"), "--help"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        process.stdout.close()
        assert process.stderr.read() == ""


def test_every_key_is_listed_once_with_a_sentence(printed):
    entries = re.findall(r"^  ([\w./]+)=\S+\s+([^\s=].+)", printed[0], flags=re.MULTILINE)
    keys = [key for key, _ in entries]
    expected = {key for key in known_keys("") if key != "compare"}
    expected |= {f"{section}.{key}" for section in (*GROUPS, "compare") for key in known_keys(section)}
    assert expected <= set(keys)
    assert len(keys) == len(set(keys))
    assert {"hydra/sweeper", "hydra.sweeper.n_trials", "hydra/launcher", "hydra.launcher.n_jobs"} <= set(keys)


def test_values_are_those_of_the_command(printed):
    assert re.search(r"^  optimizer=sgd +One of adafactor, adam", printed[0], flags=re.MULTILINE)
    assert re.search(r"^  optimizer.lr=0.1 +Peak learning rate", printed[0], flags=re.MULTILINE)
    assert re.search(r"^  optimizer.momentum=0.9 +Decay of the velocity. \(sgd\)$", printed[0], flags=re.MULTILINE)
    assert re.search(r"^  seed=7 ", printed[0], flags=re.MULTILINE)
    assert re.search(r"^  hydra/sweeper=grid ", printed[0], flags=re.MULTILINE)


def test_options_are_named_with_their_defaults_and_without_those_built_on_them(printed):
    text = " ".join(printed[0].split())
    assert "(muon with 0.95)" in text
    assert "task.path=null Hub id or folder, as in datasets.load_dataset. (hub)" in text
    assert "model.num_layers=2 Number of transformer blocks, at least 1. (all but pretrained)" in text


def test_the_text_fits_the_width(printed):
    assert max(map(len, printed[0].splitlines())) <= WIDTH
    assert "`" not in printed[0]
