"""`CellLoader` gives exactly the configuration that Hydra composes."""

from __future__ import annotations

import pickle

import pytest
from hydra import initialize_config_dir
from hydra.core.global_hydra import GlobalHydra
from hydra.types import RunMode
from omegaconf import OmegaConf
from program import ROOT

from warmup_lab.cli.compose import register_experiments
from warmup_lab.sweeps.cell_loader import CellLoader

CELLS = (
    ["scheduler=warmuplinear", "warmup_ratio=0.1", "seed=0"],
    ["scheduler=warmuplinear", "warmup_ratio=null", "seed=1"],
    ["scheduler=warmupcosine", "warmup_ratio=0.1", "seed=1"],
    ["scheduler=warmuplinear", "warmup_ratio=1e-1", "seed=7"],
    ["seed=8", "scheduler=warmuplinear", "warmup_ratio=0.25"],
    ["scheduler=warmuplinear", "study='a=b, c'", "force=true"],
    ["scheduler=warmuplinear", "study=${task.name}", "force=false"],
    ["scheduler=warmuplinear", "study=x", "force=false"],
    ["task=files", "task.train_file=a.tsv", "task.text_columns=[a,b]"],
    ["task=files", "task.train_file=b.tsv", "task.text_columns=[c]"],
    ["task=files", "task.train_file=c.tsv", "task.text_columns=[d,e]"],
    ["experiment=compare", "seed=2", "hydra.job.name=other"],
    ["experiment=compare", "seed=3", "hydra.job.name=other"],
    ["experiment=compare", "seed=3", "hydra.job.name=another"],
    ["+optimizer={lr: 0.3}", "seed=1"],
    ["+optimizer={lr: 0.5}", "seed=1"],
    ["optimizer.lr=0.1", "+optimizer={lr: 0.5}"],
    ["optimizer.lr=0.2", "+optimizer={lr: 0.5}"],
    ["optimizer=sgd", "optimizer.lr=0.1"],
    ["optimizer=sgd", "optimizer.lr=0.2"],
    ["~epochs", "seed=1"],
    ["seed=1", "seed=2"],
    ["seed=3", "seed=4"],
)


@pytest.fixture
def loaders():
    """Hydra's loader, ours, and the configuration of the multirun."""
    register_experiments(ROOT / "experiments")
    with initialize_config_dir(str(ROOT / "conf"), version_base="1.3"):
        loader = GlobalHydra.instance().config_loader()
        given = ["tracking=none", "hydra/launcher=stacked", "hydra.sweep.dir=elsewhere"]
        yield loader, CellLoader(loader), loader.load_configuration("config", given, run_mode=RunMode.MULTIRUN)


def test_a_cell_has_the_configuration_of_hydra(loaders):
    hydra_loader, ours, multirun = loaders
    for cell in CELLS:
        expected = hydra_loader.load_sweep_config(multirun, cell)
        for _ in range(2):  # the second time from the copy
            found = ours.load_sweep_config(multirun, cell)
            assert OmegaConf.to_yaml(found) == OmegaConf.to_yaml(expected), cell
            assert pickle.dumps(OmegaConf.to_container(found)) == pickle.dumps(OmegaConf.to_container(expected))
            assert OmegaConf.is_struct(found)
            assert OmegaConf.is_readonly(found.hydra) == OmegaConf.is_readonly(expected.hydra)


def test_cells_that_differ_only_in_values_are_composed_once(loaders, monkeypatch):
    hydra_loader, ours, multirun = loaders
    composed = []
    original = type(hydra_loader).load_configuration
    monkeypatch.setattr(
        type(hydra_loader), "load_configuration", lambda *args, **rest: composed.append(1) or original(*args, **rest)
    )
    for scheduler in ("warmuplinear", "warmupcosine"):
        for seed in range(5):
            words = [f"scheduler={scheduler}", f"seed={seed}", "optimizer=sgd", f"optimizer.lr={0.1 * seed}"]
            cell = ours.load_sweep_config(multirun, words)
            cell.seed = -1  # a launcher may change the configuration
    assert len(composed) == 2
    assert ours.load_sweep_config(multirun, [*words[:1], "seed=3", *words[2:]]).seed == 3
    assert len(composed) == 2


@pytest.mark.parametrize("bad", ["optimzer.lr=3", "seed.x=3", "task.nonsense=1", "scheduler=nope", "seed=[1"])
def test_errors_are_those_of_hydra(bad, loaders):
    hydra_loader, ours, multirun = loaders
    messages = []
    for loader in (hydra_loader, ours, ours):
        with pytest.raises(Exception) as caught:  # noqa: PT011  # whatever Hydra raises
            loader.load_sweep_config(multirun, [bad])
        messages.append((type(caught.value), str(caught.value)))
    assert messages[0] == messages[1] == messages[2]
