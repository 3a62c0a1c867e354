"""The cells of `hydra/sweeper=optuna`, and `search.json`: its trials, the best one, and the importance of each key."""

from __future__ import annotations

import math
import shlex
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from hydra.core.override_parser.types import ChoiceSweep, IntervalSweep, Override, RangeSweep

from warmup_lab.comparison import SEARCH_FILE
from warmup_lab.config import ConfigError, require, require_positive
from warmup_lab.metrics import smaller_is_better
from warmup_lab.runs import finished_result, metric_of
from warmup_lab.sweeps.cells import override_texts
from warmup_lab.sweeps.jobs import command_line
from warmup_lab.system import train_program, write_json

MIN_TRIALS = 15
"""Fewest completed trials for an importance. In simulated searches of three parameters of which one matters, it came
first in 53 % of searches of 10 trials, 85 % of 15, 83 % of 20 and 98 % of 30."""
_UNRELATED = ("tracking", "study", "device", "num_threads", "force", "save_model", "checkpoint_every", "compare")
"""Keys that two parts of one search may set differently."""
_STATES = {"COMPLETE": "completed", "PRUNED": "failed", "FAIL": "error"}


@dataclass(frozen=True)
class SearchSettings:
    """The keys of `hydra.sweeper` for `optuna`, and what is optimized."""

    n_trials: int
    batch_size: int
    direction: Literal["minimize", "maximize"]
    seed: int
    objective: str
    """Name of the metric, as for `metric_of`."""
    storage: str | None = None
    """URL of the database that keeps the study, such as `sqlite:///study.db`."""
    study_name: str = "sweep"
    """Name of the study in that database."""


class OptunaSearch:
    """Optuna's TPE over `interval(...)`, `range(...)`, `choice(...)` and comma-separated values.

    The tag `log` searches an interval on a logarithmic scale: `'optimizer.lr=tag(log, interval(1e-4, 1e-2))'`. A run
    that diverged or failed to learn is reported to Optuna as pruned, which TPE ranks below every run with a value.

    Without a storage, the search repeats itself with the same sampler seed, so the same command finds its finished runs
    and continues after them. With one, the study continues with new trials up to `n_trials` in all; trials that were
    interrupted or ended in an error come first. The runs of finished trials are part of the report if they are in the
    folder.
    """

    def __init__(self, overrides: Sequence[Override], directory: Path, settings: SearchSettings) -> None:
        """Raises `ConfigError` if Optuna is missing, nothing is searched, or the study in the storage is another one.

        Args:
            overrides: fixed keys, and the keys to search.
            directory: folder of the sweep.
            settings: what to search for, and where the study is kept.
        """
        direction = settings.direction
        require(
            direction in ("minimize", "maximize"), f"hydra.sweeper.direction={direction}: type minimize or maximize"
        )
        _check_direction(direction, settings.objective)
        for key in ("n_trials", "batch_size"):
            require_positive(getattr(settings, key), f"hydra.sweeper.{key}")
        self._fixed = [override_texts(item)[0] for item in overrides if not item.is_sweep_override()]
        searched = {item.get_key_element(): item for item in overrides if item.is_sweep_override()}
        require(bool(searched), "nothing to search: give a key an interval(...), a range(...) or several values")
        self._directory, self._settings = directory, settings
        self._study = _open_study(settings, sorted(text for text in self._fixed if not _is_unrelated(text)))
        self._searched = {key: _distribution(item) for key, item in searched.items()}
        self._asked: list[Any] = []
        self._num_errors = 0
        self._earlier = self._earlier_cells()
        _retry(self._study)
        require(
            bool(self._earlier) or self._num_left() > 0,
            f"{settings.storage} has the {settings.n_trials} trials of the study {settings.study_name}; "
            "to continue it, raise hydra.sweeper.n_trials",
        )

    def ask(self) -> Sequence[Sequence[str]]:
        if self._earlier:
            cells, self._earlier = self._earlier, []
            _say(f"{len(cells)} of {self._settings.n_trials} trials are in {self._settings.storage}")
            return cells
        count = min(self._settings.batch_size, self._num_left())
        try:
            self._asked = [self._study.ask(self._searched) for _ in range(count)]
        except ValueError as error:  # other values of a key than the study has
            raise ConfigError(f"{self._settings.storage}: {error}; choose another hydra.sweeper.study_name") from None
        return [self._cell(trial) for trial in self._asked]

    def tell(self, results: Sequence[dict[str, Any] | None]) -> None:
        from optuna.trial import TrialState

        asked, self._asked = self._asked, []
        for trial, result in zip(asked, results[: len(asked)], strict=True):
            if result:
                trial.set_user_attr("run_id", result["run_id"])
            value = metric_of(result, self._settings.objective) if result else None
            if result is None or result["status"] == "error":
                self._num_errors += 1
                self._study.tell(trial, state=TrialState.FAIL)
            elif value is None or result["failed_to_learn"]:
                self._study.tell(trial, state=TrialState.PRUNED)
            else:
                self._study.tell(trial, value)
            _say(self._trial_text(trial))
        write_json(self._directory / SEARCH_FILE, self.summary())

    def summary(self) -> dict[str, Any]:
        """The content of `search.json`. Without a completed trial, `best` is None."""
        best = self._best()
        importance, note = _importance(self._study, len(self._searched))
        return {
            "schema": 1,
            "command": command_line(),
            "objective": self._settings.objective,
            "direction": self._settings.direction,
            "num_planned": self._settings.n_trials,
            "trials": [
                {"number": trial.number, "run_id": trial.user_attrs.get("run_id"), "state": _STATES[trial.state.name],
                 "value": trial.value, "params": trial.params}
                for trial in self._study.trials
                if trial.state.is_finished()
            ],
            "best": best and {
                "number": best.number, "run_id": best.user_attrs.get("run_id"), "value": best.value,
                "params": best.params, "command": shlex.join([*train_program(), *self._cell(best)]),
            },
            "importance": importance,
            "importance_note": note,
        }  # fmt: skip

    def _cell(self, trial: Any) -> list[str]:
        return self._fixed + [f"{key}={value}" for key, value in trial.params.items()]

    def _num_left(self) -> int:
        """Trials that are still to be asked. Those that ended in an error in an earlier process are asked again."""
        done = sum(trial.state.name in ("COMPLETE", "PRUNED") for trial in self._study.trials)
        return self._settings.n_trials - done - self._num_errors

    def _earlier_cells(self) -> list[list[str]]:
        """The cells of finished trials of an earlier process whose runs are in the folder."""
        ids = [(trial, trial.user_attrs.get("run_id")) for trial in self._study.trials if trial.state.is_finished()]
        return [self._cell(trial) for trial, run_id in ids if run_id and finished_result(self._directory / run_id)]

    def _best(self) -> Any:
        values = [trial for trial in self._study.trials if trial.value is not None]
        sign = 1 if self._settings.direction == "minimize" else -1
        return min(values, key=lambda trial: sign * trial.value, default=None)

    def _trial_text(self, trial: Any) -> str:
        finished = self._study.trials[trial.number]
        params = ", ".join(f"{key}={_short(value)}" for key, value in finished.params.items())
        found = {"PRUNED": "failed to learn", "FAIL": "ended in an error"}.get(finished.state.name)
        best = self._best()
        return f"trial {trial.number}: {found or f'{self._settings.objective} {finished.value:.4g}'}, {params}" + (
            f"; best {best.value:.4g} (trial {best.number})" if best else ""
        )


def _open_study(settings: SearchSettings, fixed: list[str]) -> Any:
    """The study, new or from the storage, with a sampler that does not repeat the draws of earlier processes."""
    try:
        import optuna
    except ModuleNotFoundError:
        raise ConfigError("hydra/sweeper=optuna needs Optuna: pip install 'warmup-lab[optuna]'") from None
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    if settings.storage is None:
        return optuna.create_study(direction=settings.direction, sampler=optuna.samplers.TPESampler(seed=settings.seed))
    name = settings.study_name
    try:
        study = optuna.create_study(
            storage=settings.storage, study_name=name, direction=settings.direction, load_if_exists=True
        )
    except Exception as error:  # SQLAlchemy's, with several lines on where to read about them
        raise ConfigError(f"hydra.sweeper.storage={settings.storage}: {str(error).splitlines()[0]}") from error
    study.sampler = optuna.samplers.TPESampler(seed=settings.seed + len(study.trials))
    own = {"direction": settings.direction, "objective": settings.objective, "fixed": fixed}
    kept = study.user_attrs or own
    for key, value in own.items():
        require(
            kept.get(key) == value,
            f"the study {name} in {settings.storage} has another {_NAMES[key]}: {_text(kept.get(key))} instead of "
            f"{_text(value)}; choose another hydra.sweeper.study_name",
        )
        study.set_user_attr(key, value)
    return study


_NAMES = {"direction": "direction", "objective": "objective", "fixed": "configuration"}


def _text(value: Any) -> str:
    return shlex.join(value) or "the defaults" if isinstance(value, list) else str(value)


def _retry(study: Any) -> None:
    """Puts the trials that did not finish at the front of those to come. Another attempt does not repeat them."""
    from optuna.trial import TrialState

    trials = study.trials
    known = [trial.params for trial in trials if trial.state.name in ("COMPLETE", "PRUNED")]
    known += [trial.system_attrs.get("fixed_params", {}) for trial in trials if trial.state is TrialState.WAITING]
    for trial in trials:
        if trial.state is TrialState.RUNNING:  # of a process that was interrupted
            study.tell(trial.number, state=TrialState.FAIL)
        if trial.state in (TrialState.RUNNING, TrialState.FAIL) and trial.params not in known:
            known.append(trial.params)
            study.enqueue_trial(trial.params)


def _importance(study: Any, num_searched: int) -> tuple[dict[str, float] | None, str | None]:
    """Importance of each key (PED-ANOVA, they add up to 1), and why there is none or how far to trust it."""
    import optuna

    completed = sum(trial.value is not None for trial in study.trials)
    if num_searched < 2:
        return None, "only one parameter was searched"
    if completed < MIN_TRIALS:
        return None, f"{completed} completed trials are too few, {MIN_TRIALS} are needed"
    try:
        evaluator = optuna.importance.PedAnovaImportanceEvaluator()
        found = optuna.importance.get_param_importances(study, evaluator=evaluator)
    except ValueError as error:  # all values are equal
        return None, str(error)
    return dict(found), f"rough: only {completed} completed trials" if completed < 2 * MIN_TRIALS else None


def _is_unrelated(override: str) -> bool:
    return override.lstrip("+").partition("=")[0].split(".")[0] in _UNRELATED


def _short(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def _check_direction(direction: str, objective: str) -> None:
    """Losses and scores have one sensible direction; oscillation may be searched in either."""
    better, best = ("minimize", "smaller") if smaller_is_better(objective) else ("maximize", "larger")
    require(
        direction == better or not objective.startswith(("train_", "eval_")),
        f"objective={objective}: {best} is better; type hydra.sweeper.direction={better}",
    )


def _distribution(override: Override) -> Any:
    """Optuna's distribution for one searched key."""
    from optuna import distributions

    value = override.value()
    if isinstance(value, IntervalSweep):
        start, end, log = value.start, value.end, "log" in value.tags
        assert start is not None
        assert end is not None
        good = math.isfinite(start) and math.isfinite(end) and start <= end and (start > 0 or not log)
        words = "two rising numbers above 0" if log else "two rising numbers"
        require(good, f"{override.input_line}: the interval needs {words}, such as interval(1e-4, 1e-2)")
        if isinstance(start, int) and isinstance(end, int):
            return distributions.IntDistribution(start, end, log=log)
        return distributions.FloatDistribution(start, end, log=log)
    if isinstance(value, RangeSweep):
        return distributions.CategoricalDistribution(list(value.range()))
    assert isinstance(value, ChoiceSweep)
    return distributions.CategoricalDistribution([text.partition("=")[2] for text in override_texts(override)])
