"""The import order of the package: a module imports only from those above it, and light modules stay light."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

PACKAGE = Path(__file__).resolve().parents[1] / "src" / "warmup_lab"
ORDER = [
    "files", "cache", "schema", "config", "warmups", "decays", "phases", "schedules", "trace", "oscillation",
    "statistics", "jitter", "advice", "arms", "verdicts", "selection", "console", "grammar", "tables", "huggingface",
    "corpora", "tasks", "rows", "forward", "models", "update_rules", "optimizers", "plan", "checkpoint", "wandb_guard",
    "tracking", "evaluation", "probing", "sharpness", "critical_lr", "layers", "probes", "outcome", "starting",
    "trainer", "stacked", "stacked_optimizers", "grouping", "together", "packed", "results", "ramps", "sweep",
    "explanations", "composition", "figures", "metrics", "charts", "comparison", "curves", "probe_curves", "exhibits",
    "jitter_figure", "page", "report", "search", "jitter_search", "cell_configs", "multirun", "cli", "launching",
]  # fmt: skip
MODULES = sorted(path.stem for path in PACKAGE.glob("*.py") if path.stem != "__init__")


def imported_modules(path: Path) -> set[str]:
    """Modules of this package that the file imports, anywhere in it."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and node.module == "warmup_lab":
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and (node.module or "").startswith("warmup_lab."):
            found.add(node.module.split(".")[1])
        elif isinstance(node, ast.Import):
            found |= {alias.name.split(".")[1] for alias in node.names if alias.name.startswith("warmup_lab.")}
    return found


def test_every_module_has_its_place():
    assert set(MODULES) <= set(ORDER)


@pytest.mark.parametrize("module", MODULES)
def test_a_module_imports_only_from_those_above_it(module):
    above = set(ORDER[: ORDER.index(module)])
    below = imported_modules(PACKAGE / f"{module}.py") & set(MODULES) - above
    assert not below, f"{module} imports {below}, which do not stand above it"


def test_packed_never_imports_trainer():
    for module in ("stacked", "stacked_optimizers", "grouping", "together", "packed"):
        assert "trainer" not in imported_modules(PACKAGE / f"{module}.py")


@pytest.mark.parametrize(
    ("module", "unwanted"),
    [
        ("schema", {"torch", "transformers", "numpy", "hydra", "omegaconf", "wandb"}),
        ("config", {"torch", "transformers", "hydra", "omegaconf", "wandb"}),
        ("schedules", {"torch", "transformers", "hydra", "omegaconf", "wandb"}),
        ("oscillation", {"torch", "transformers", "hydra", "omegaconf", "wandb"}),
        ("cli", {"torch", "transformers", "datasets", "wandb"}),
        ("trainer", {"hydra", "omegaconf", "wandb", "datasets", "pyarrow"}),
        ("packed", {"hydra", "omegaconf", "wandb", "datasets", "pyarrow"}),
    ],
)
def test_importing_a_module_does_not_load(module, unwanted):
    code = f"import sys, warmup_lab.{module}; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert not unwanted & set(loaded)
