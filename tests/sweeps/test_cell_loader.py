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
from warmup_lab.config.errors import ConfigError
from warmup_lab.config.parse import resolve
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
    ["study=${task.name}", "seed=1"],
    ["study=${task.name}", "seed=2"],
    ["task=files", "task.train_file=???"],
    ["task=files", "task.train_file=a.tsv"],
    ["scheduler=warmuplinear", "task=synthetic_small", "task.num_train=1"],
    ["scheduler=warmuplinear", "task=synthetic_small", "task.num_train=text"],
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
    num_plain = 0
    for cell in CELLS:
        expected = hydra_loader.load_sweep_config(multirun, cell)
        for _ in range(2):  # the second time from the copy
            found = ours.load_sweep_config(multirun, cell)
            assert pickle.dumps(OmegaConf.to_container(found)) == pickle.dumps(OmegaConf.to_container(expected)), cell
            assert OmegaConf.is_struct(found)
            assert OmegaConf.is_readonly(found.hydra) == OmegaConf.is_readonly(expected.hydra)
        values = ours.load_values(multirun, cell)
        assert repr(settled(values)) == repr(settled(expected)), cell  # tells 1 from 1.0 and from true
        num_plain += isinstance(values, dict)
    assert num_plain > len(CELLS) / 2


def settled(config):
    """The typed configuration, or why there is none."""
    try:
        return resolve(config, multirun=True)
    except ConfigError as error:
        return str(error)


def test_the_values_of_a_cell_belong_to_it_alone(loaders):
    _, ours, multirun = loaders
    ours.load_values(multirun, ["seed=1"])
    ours.load_values(multirun, ["seed=2"])["optimizer"]["lr"] = 7
    assert ours.load_values(multirun, ["seed=3"])["optimizer"]["lr"] == 1e-3


def test_a_loader_is_sent_to_a_worker_without_the_overrides_of_other_cells(loaders):
    _, ours, multirun = loaders
    ours.load_values(multirun, ["seed=0"])
    size = len(pickle.dumps(ours))
    for seed in range(50):
        ours.load_values(multirun, [f"seed={seed}"])
    assert len(pickle.dumps(ours)) == size
    sent = pickle.loads(pickle.dumps(ours))
    assert sent.load_sweep_config(multirun, ["seed=51"]).seed == 51


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
    with pytest.raises(Exception) as caught:  # noqa: PT011
        ours.load_values(multirun, [bad])
    messages.append((type(caught.value), str(caught.value)))
    assert len(set(messages)) == 1
