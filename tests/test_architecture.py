"""The packages: what each may import, what stays light to import, and how long files and functions are."""

import ast
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest
from program import ROOT, python

PACKAGE = ROOT / "src" / "warmup_lab"
FACES = sorted(PACKAGE.rglob("__init__.pyi"))


def test_the_contracts_of_import_linter_hold():
    """The order of the packages is in pyproject.toml; a cycle between packages or modules breaks a contract too."""
    # In a process of its own: import-linter disables all loggers of the process that it runs in.
    checked = subprocess.run([Path(sys.executable).parent / "lint-imports", "--no-cache"], cwd=ROOT, check=False)
    assert checked.returncode == 0


@cache
def tree_of(path: Path) -> ast.Module:
    return ast.parse(path.read_text())


def exported(face: Path) -> set[str]:
    imports = [node for node in tree_of(face).body if isinstance(node, ast.ImportFrom)]
    return {alias.asname for node in imports for alias in node.names if alias.asname}


@pytest.mark.parametrize("face", FACES, ids=lambda face: face.parent.name)
def test_no_exported_name_is_that_of_a_module_beside_it(face):
    """Importing a submodule sets an attribute of its name on the package, in place of what the face exports."""
    beside = {path.stem for path in face.parent.iterdir() if path.suffix == ".py" or path.is_dir()}
    assert not exported(face) & beside


@pytest.mark.parametrize("path", sorted(PACKAGE.rglob("*.py")), ids=lambda path: str(path.relative_to(PACKAGE)))
def test_other_packages_are_imported_through_their_faces(path):
    """`from warmup_lab.runs import read_result`, never `from warmup_lab.runs.result import read_result`."""
    for node in ast.walk(tree_of(path)):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("warmup_lab."):
            source = PACKAGE.joinpath(*node.module.split(".")[1:])
            if source.with_suffix(".py").exists() and source.parent != PACKAGE:
                assert source.parent == path.parent, f"line {node.lineno} reaches into {node.module}"


def imported_modules(path: Path) -> set[str]:
    nodes = list(ast.walk(tree_of(path)))
    plain = {alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names}
    return plain | {node.module or "" for node in nodes if isinstance(node, ast.ImportFrom)}


def test_no_module_imports_the_hydra_plugins_of_this_project():
    """The plugins import `warmup_lab`; the other direction would be a cycle that import-linter does not see."""
    found = {(str(path), name) for path in PACKAGE.rglob("*.py") for name in imported_modules(path)}
    assert not {(path, name) for path, name in found if name.startswith("hydra_plugins.warmup_lab")}


MAX_FILE_LINES, MAX_FUNCTION_LINES = 300, 45
LONGER = {
    "warmup_lab/training/loop.py:_train": "the training loop is read from top to bottom, with a comment a section",
    "warmup_lab/training/stacked/loop.py:train_group": "the same loop for stacked runs, with the same sections",
}
"""`file.py` or `file.py:function` -> why it is longer than allowed."""
SOURCES = sorted((ROOT / "src").rglob("*.py"))


def function_lengths(path: Path) -> dict[str, int]:
    """Lines of each function of a file, without its docstring and decorators; the longest of those with one name."""
    lengths: dict[str, int] = {}
    for node in ast.walk(tree_of(path)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            length = node.end_lineno - node.lineno + 1 - docstring_length(node)
            lengths[node.name] = max(length, lengths.get(node.name, 0))
    return lengths


def docstring_length(node: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    first = node.body[0]
    return 0 if ast.get_docstring(node) is None else first.end_lineno - first.lineno + 1


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(ROOT / "src")))
def test_files_and_functions_are_short(path):
    name = str(path.relative_to(ROOT / "src"))
    lengths = {f"{name}:{function}": length for function, length in function_lengths(path).items()}
    too_long = {function: length for function, length in lengths.items() if length > MAX_FUNCTION_LINES}
    num_lines = len(path.read_text().splitlines())
    too_long |= {name: num_lines} if num_lines > MAX_FILE_LINES else {}
    assert not too_long.keys() - LONGER.keys(), too_long


def test_what_may_be_longer_still_is():
    for name in LONGER:
        path, _, function = name.partition(":")
        file = ROOT / "src" / path
        if function:
            assert function_lengths(file)[function] > MAX_FUNCTION_LINES, name
        else:
            assert len(file.read_text().splitlines()) > MAX_FILE_LINES, name


UNWANTED = {
    "cli.script": {"torch", "transformers", "numpy", "hydra", "omegaconf", "wandb"},
    "config.schema": {"torch", "transformers", "numpy", "hydra", "omegaconf", "wandb"},
    "config.parse": {"torch", "transformers", "hydra", "omegaconf", "wandb"},
    "schedules.registry": {"torch", "transformers", "hydra", "omegaconf", "wandb"},
    "metrics.oscillation": {"torch", "transformers", "hydra", "omegaconf", "wandb"},
    "runs.result": {"torch", "transformers", "hydra", "wandb", "pyarrow"},
    "report.build": {"torch", "transformers", "hydra", "wandb"},
    "cli.entry": {"torch", "transformers", "datasets", "wandb"},
    "training.loop": {"hydra", "omegaconf", "wandb", "datasets", "pyarrow"},
    "training.stacked.train": {"hydra", "omegaconf", "wandb", "datasets", "pyarrow"},
}
"""Module -> packages that importing it must not load."""


@pytest.fixture(scope="module")
def loaded() -> dict[str, set[str]]:
    """Module -> everything loaded after its import. One process imports several modules, in the order of `UNWANTED`.

    A process can only load more and more, so a later module is never excused by an earlier one.
    """
    names = list(UNWANTED)
    groups = (names[:8], names[8:])  # training needs torch, which the others must not load
    found: dict[str, set[str]] = {}
    for group in groups:
        statements = [f"import warmup_lab.{name}; print(*sys.modules)" for name in group]
        lines = python("import sys\n" + "\n".join(statements)).splitlines()
        found |= {name: set(line.split()) for name, line in zip(group, lines, strict=True)}
    return found


@pytest.mark.parametrize("module", UNWANTED)
def test_importing_a_module_does_not_load(module, loaded):
    assert not UNWANTED[module] & loaded[module]
