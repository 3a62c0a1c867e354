"""Makes a sweep of the tables that Kalra & Barkeshli (2024) published, and the `results.csv` of this page.

    python experiments/published_usable_lr/import_tables.py TABLES --output runs/published_usable_lr

TABLES is a folder with their files `eval_cifar-10_WideResNet16_sp_..._Twarm1024_T100000_....tab`, or with the short
names `adam_lr0.005120_Twarm1024.tab`. They are in vision/phase-diagrams/resnet_results of
github.com/dayal-kalra/why-warmup (MIT licence), commit 877d887.
"""

from __future__ import annotations

import argparse
import math
import re
from pathlib import Path

import pandas as pd

from warmup_lab import LoggedRun, import_runs, load_runs

HERE = Path(__file__).parent
_NAME = re.compile(
    r"(?:eval_.*augmentTrue_)?(?P<optimizer>[a-z_]+)_lr(?P<lr>[\d.]+)_.*?Twarm(?P<warmup>\d+)(?:_.*)?\.tab"
)
_OPTIMIZERS = {"adam": "adam", "base_adam": "base_adam", "grads_adam": "giadam", "radam": "radam"}
"""Their names -> ours. `base_adam` is their own Adam, at the same seeds; `adam` is that of optax."""
_COLUMNS = {"train_loss": "loss", "test_loss": "eval_loss", "test_accuracy": "eval_accuracy"}
_TOTAL_STEPS, _SEED, _NUM_CLASSES = 100_000, 1, 10


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n\n")[0])
    parser.add_argument("tables", type=Path, help="folder with the .tab files")
    parser.add_argument("--output", type=Path, required=True, help="folder of the sweep")
    parser.add_argument("--csv", type=Path, help="also write the table of runs, such as results.csv")
    parser.add_argument("--largest-lr", type=float, default=math.inf, help="leave out runs with a larger one")
    asked = parser.parse_args()
    paths = [path for path in asked.tables.glob("*.tab") if _NAME.fullmatch(path.name)]
    runs = [run for run in map(read_table, paths) if run.lr <= asked.largest_lr]
    if not runs:
        parser.error(f"{asked.tables} has no table such as adam_lr0.005120_Twarm1024.tab")
    import_runs(
        sorted(runs, key=lambda run: (run.optimizer, run.warmup_steps, run.lr)),
        asked.output,
        entropy=math.log(_NUM_CLASSES),
        majority_accuracy=1 / _NUM_CLASSES,
    )
    if asked.csv:
        table = load_runs(asked.output)
        table.dropna(axis="columns", how="all").to_csv(asked.csv, index=False, float_format="%.6g")
    print(f"{len(runs)} runs in {asked.output}")


def read_table(path: Path) -> LoggedRun:
    """One table: one row per epoch of 391 updates.

    Their warmup of 1 update uses the peak learning rate from the first update on, so it is no warmup.
    """
    name = _NAME.fullmatch(path.name)
    assert name is not None
    warmup = int(name["warmup"])
    return LoggedRun(
        log=pd.read_csv(path, sep="\t", index_col=0).rename(columns=_COLUMNS),
        scheduler="warmupcosine",
        warmup_steps=0 if warmup == 1 else warmup,
        total_steps=_TOTAL_STEPS,
        lr=float(name["lr"]),
        seed=_SEED,
        optimizer=_OPTIMIZERS[name["optimizer"]],
        task="cifar10",
        model="wide_resnet_16_4",
    )


if __name__ == "__main__":
    main()
