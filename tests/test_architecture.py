"""The packages: each imports only from those below it, and light ones stay light."""

import ast
from pathlib import Path

import pytest
from importlinter import cli as import_linter
from program import ROOT, python

PACKAGE = ROOT / "src" / "warmup_lab"
FACES = sorted(PACKAGE.rglob("__init__.pyi"))


def test_the_contracts_of_import_linter_hold():
    """The order of the packages is in pyproject.toml; a cycle between packages or modules breaks a contract too."""
    assert import_linter.lint_imports(str(ROOT / "pyproject.toml")) == import_linter.EXIT_STATUS_SUCCESS


def exported(face: Path) -> set[str]:
    return {alias.asname for node in ast.parse(face.read_text()).body for alias in node.names if alias.asname}


@pytest.mark.parametrize("face", FACES, ids=lambda face: face.parent.name)
def test_no_exported_name_is_that_of_a_module_beside_it(face):
    """Importing a submodule sets an attribute of its name on the package, in place of what the face exports."""
    beside = {path.stem for path in face.parent.iterdir() if path.suffix == ".py" or path.is_dir()}
    assert not exported(face) & beside


@pytest.mark.parametrize("path", sorted(PACKAGE.rglob("*.py")), ids=lambda path: str(path.relative_to(PACKAGE)))
def test_other_packages_are_imported_through_their_faces(path):
    """`from warmup_lab.runs import read_result`, never `from warmup_lab.runs.result import read_result`."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("warmup_lab."):
            source = PACKAGE.joinpath(*node.module.split(".")[1:])
            if source.with_suffix(".py").exists() and source.parent != PACKAGE:
                assert source.parent == path.parent, f"line {node.lineno} reaches into {node.module}"


def imported_modules(path: Path) -> set[str]:
    nodes = list(ast.walk(ast.parse(path.read_text())))
    plain = {alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names}
    return plain | {node.module or "" for node in nodes if isinstance(node, ast.ImportFrom)}


def test_no_module_imports_the_hydra_plugins_of_this_project():
    """The plugins import `warmup_lab`; the other direction would be a cycle that import-linter does not see."""
    found = {(str(path), name) for path in PACKAGE.rglob("*.py") for name in imported_modules(path)}
    assert not {(path, name) for path, name in found if name.startswith("hydra_plugins.warmup_lab")}


@pytest.mark.parametrize(
    ("module", "unwanted"),
    [
        ("config.schema", {"torch", "transformers", "numpy", "hydra", "omegaconf", "wandb"}),
        ("config.parse", {"torch", "transformers", "hydra", "omegaconf", "wandb"}),
        ("schedules.registry", {"torch", "transformers", "hydra", "omegaconf", "wandb"}),
        ("metrics.oscillation", {"torch", "transformers", "hydra", "omegaconf", "wandb"}),
        ("runs.result", {"torch", "transformers", "hydra", "wandb", "pyarrow"}),
        ("cli.entry", {"torch", "transformers", "datasets", "wandb"}),
        ("report.build", {"torch", "transformers", "hydra", "wandb"}),
        ("training.loop", {"hydra", "omegaconf", "wandb", "datasets", "pyarrow"}),
        ("training.stacked.train", {"hydra", "omegaconf", "wandb", "datasets", "pyarrow"}),
    ],
)
def test_importing_a_module_does_not_load(module, unwanted):
    loaded = python(f"import sys, warmup_lab.{module}; print(*sys.modules)").split()
    assert not unwanted & set(loaded)
