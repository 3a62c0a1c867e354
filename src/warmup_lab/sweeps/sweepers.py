"""The sweepers `grid`, `optuna`, `lr_jitter` and `recommend` of `hydra/sweeper`. Imported when a multirun starts."""

from __future__ import annotations

import sys
from abc import abstractmethod
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override
from hydra.core.plugins import Plugins
from hydra.plugins.sweeper import Sweeper
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig, OmegaConf

from warmup_lab.config import CompareConfig, ConfigError, RunConfig, require, resolve
from warmup_lab.plan import Plan, make_plan
from warmup_lab.runs import PublishedSweep, check_output_works, published_sweep
from warmup_lab.sweeps.cell_loader import CellLoader
from warmup_lab.sweeps.cells import CellSource, Grid
from warmup_lab.sweeps.fastest import num_processes
from warmup_lab.sweeps.looks import LookByLook
from warmup_lab.sweeps.lr_jitter_cells import JitterSearch
from warmup_lab.sweeps.optuna_search import OptunaSearch, SearchSettings
from warmup_lab.sweeps.recommend_search import RecommendSearch
from warmup_lab.sweeps.run import run_sweep
from warmup_lab.sweeps.stopping import SweepTask
from warmup_lab.system import planned_for

_RUN_FOLDER = "${run_id:}"
"""`hydra.sweep.subdir` in `conf/config.yaml`."""


class SweepFailed(ConfigError):
    """Some jobs of a sweep failed. The other jobs are trained and reported."""


class CheckedSweeper(Sweeper):
    """A sweeper that checks all cells before it trains one. Subclasses provide the cells."""

    num_planned: int | None = None
    """As in `run_sweep`."""

    def __init__(self, params: dict[str, Any] | None = None) -> None:
        """`params` are overrides from the configuration; the command line comes before them."""
        self._params = params or {}

    def setup(self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig) -> None:
        self._loader = CellLoader(hydra_context.config_loader)
        self._context = HydraContext(config_loader=self._loader, callbacks=hydra_context.callbacks)
        self._config, self._study, self._output = config, str(config.study), str(config.output)
        self._warned: set[str] = set()
        self._launcher = Plugins.instance().instantiate_launcher(
            hydra_context=self._context, task_function=SweepTask(task_function), config=config
        )

    @abstractmethod
    def cell_source(self, overrides: list[Override]) -> CellSource:
        """The source of the cells for these overrides, which include those of `hydra.sweeper.params`."""

    def sweep(self, arguments: list[str]) -> None:
        with _planned_for_workers(self._config):
            self._sweep(arguments)

    def _sweep(self, arguments: list[str]) -> None:
        _check_subdir(self._config)
        given = [f"{key}={value}" for key, value in self._params.items()] + arguments
        parsed = OverridesParser.create(config_loader=self._context.config_loader).parse_overrides(given)
        last = {override.get_key_element(): override for override in parsed}  # arguments replace params
        directory = Path(self._config.hydra.sweep.dir)
        published = _fetched(self._config, directory)

        def launch(batch: Sequence[Sequence[str]], first: int) -> None:
            if published:
                published.publish()  # the job list, so that a report can be built while runs train
            self._launcher.launch(batch, initial_job_idx=first)

        def report(folder: Path, config: RunConfig) -> None:
            _report(folder, config, published)

        source = self.cell_source(list(last.values()))
        failed = run_sweep(source, self._plan_cell, launch, directory, report, num_planned=self.num_planned)
        if failed:
            names = ", ".join(job.name for job in failed[:3]) + (", ..." if len(failed) > 3 else "")
            runs = "1 run" if len(failed) == 1 else f"{len(failed)} runs"
            raise SweepFailed(f"{runs} failed ({names}); the report gives the errors, the same command retries")

    def _plan_cell(self, overrides: Sequence[str]) -> Plan:
        """The plan of one cell, from the same values as for its job."""
        plan = make_plan(resolve(self._loader.load_values(self._config, overrides), multirun=True), multirun=True)
        require(
            plan.config.study == self._study,
            f"study={plan.config.study}: runs would be outside of the sweep's folder, which is that of "
            f"study={self._study}; give study=NAME on the command line",
        )
        require(plan.config.output == self._output, f"output={plan.config.output}: give output on the command line")
        for warning in set(plan.warnings) - self._warned:
            print(f"warning: {warning}", file=sys.stderr)
            self._warned.add(warning)
        return plan


class GridMultirun(CheckedSweeper):
    """Trains all combinations of the given values, look by look if `compare.looks` is set."""

    def cell_source(self, overrides: list[Override]) -> CellSource:
        compare = self._compare_of(Grid(overrides).ask()[0])
        if compare is None or compare.looks is None:
            return Grid(overrides)
        return LookByLook(overrides, Path(self._config.hydra.sweep.dir), compare)

    def _compare_of(self, cell: Sequence[str]) -> CompareConfig | None:
        """The design of the comparison; None for an invalid cell, which `run_sweep` reports with all others."""
        composed = self._context.config_loader.load_sweep_config(self._config, list(cell))
        try:
            return resolve(composed, multirun=True).compare
        except ConfigError:
            return None


class OptunaMultirun(CheckedSweeper):
    """Trains the runs that Optuna chooses, `batch_size` at a time, up to `n_trials`."""

    def __init__(self, params: dict[str, Any] | None = None, **settings: Any) -> None:
        """`settings` are the other keys of `hydra.sweeper`, as in `SearchSettings`."""
        super().__init__(params)
        self._settings = settings
        self.num_planned = settings["n_trials"]

    def cell_source(self, overrides: list[Override]) -> CellSource:
        _refuse_looks(self._config, "optuna")
        settings = self._settings | {"study_name": self._settings["study_name"] or self._config.study}
        found = SearchSettings(objective=self._config.objective, **settings)
        return OptunaSearch(overrides, Path(self._config.hydra.sweep.dir), found)


class JitterMultirun(CheckedSweeper):
    """Trains learning-rate ramps, then runs at constant rates around the lr at which the loss starts to jitter."""

    def cell_source(self, overrides: list[Override]) -> CellSource:
        _refuse_looks(self._config, "lr_jitter")
        return JitterSearch(overrides, Path(self._config.hydra.sweep.dir), self._plan_cell)


class RecommendMultirun(CheckedSweeper):
    """Trains ramps, a few rates with and without warmup, then the best of them on other seeds."""

    def cell_source(self, overrides: list[Override]) -> CellSource:
        directory = Path(self._config.hydra.sweep.dir)
        return RecommendSearch(overrides, directory, self._plan_cell, num_processes=num_processes(self._config))


def _check_subdir(config: DictConfig) -> None:
    """Refuses another folder for each run than that of its id: runs would overwrite each other, or not be found."""
    subdir = OmegaConf.to_container(config.hydra.sweep, resolve=False)["subdir"]  # type: ignore[index, call-overload]
    require(
        subdir == _RUN_FOLDER,
        f"hydra.sweep.subdir={subdir}: cannot be set, because the folder of a run is named by its id; to put a sweep "
        "elsewhere, set hydra.sweep.dir",
    )


def _planned_for_workers(config: DictConfig) -> AbstractContextManager[None]:
    """Plans the cells for the device of the workers if the launcher has workers on other machines."""
    if not _has_workers_elsewhere(config):
        return nullcontext()
    launcher = config.hydra.launcher
    return planned_for(str(launcher.device), str(launcher.precision))


def _has_workers_elsewhere(config: DictConfig) -> bool:
    return {"device", "precision"} <= set(config.hydra.get("launcher", {}))


def _refuse_looks(config: DictConfig, sweeper: str) -> None:
    looks = config.compare.looks
    require(
        looks is None, f"compare.looks={looks} needs hydra/sweeper=grid: hydra/sweeper={sweeper} plans its own runs"
    )


def _fetched(config: DictConfig, directory: Path) -> PublishedSweep | None:
    """The sweep in the store of `output`, after what is published there was copied to `directory`; None for a folder.

    Raises:
        ConfigError: the store cannot be used, or not with this launcher.
    """
    published = published_sweep(str(config.output), directory)
    if published:
        launcher = config.hydra.runtime.choices["hydra/launcher"]
        require(
            not _has_workers_elsewhere(config),
            f"output={config.output} cannot be used with hydra/launcher={launcher}, "
            "whose workers share a folder with this command: set output=FOLDER, or use another launcher",
        )
        check_output_works(str(config.output))
        published.fetch()
    return published


def _report(directory: Path, config: RunConfig, published: PublishedSweep | None = None) -> None:
    from warmup_lab.report import report_sweep

    report_sweep(directory, tracking=config.tracking, location=published.store.url if published else None)
    if published:
        published.publish()
        print(f"published to {published.store.url}")
