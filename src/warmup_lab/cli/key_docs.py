"""What each key of the configuration means: the docstring of its field, or its entry under Args of a factory.

Sources are parsed, not imported, where importing them would load torch.
"""

from __future__ import annotations

import ast
import inspect
import itertools
import re
from collections.abc import Iterable
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from omegaconf import OmegaConf

from warmup_lab.cli.keys import option_values
from warmup_lab.config import section_schema
from warmup_lab.schedules import SCHEDULES

_DEFAULT = re.compile(r" Default: (\([^)]*\)|[-\d.e]+\d|\d|True|False)(, as in BERT|; torch's is 0)?\.$")
"""A default value at the end of an entry. Defaults in words, which explain a null, stay."""

_JOBLIB = {"n_jobs": "Number of processes, -1 for one per core."}
"""Keys of joblib's launcher, whose dataclass has no docstrings. Its other keys are those of `joblib.Parallel`."""


def group_docs(group: str) -> dict[str, dict[str, list[str]]]:
    """Key of a group -> meaning -> the options with that meaning."""
    found: dict[str, dict[str, list[str]]] = {}
    for option, values in option_values(group).items():
        fields = field_docs(section_schema(group, str(values.get("kind"))))
        docs = {**_factory_docs(group).get(str(values.get("name")), {}), **fields}
        for key in values:
            found.setdefault(key, {}).setdefault(docs[key], []).append(option)
    return found


def hydra_docs(group: str) -> dict[str, dict[str, str]]:
    """Option of `hydra/sweeper` or `hydra/launcher` -> key -> what it means, for the keys that have a docstring."""
    found = {}
    for option in stored_options(group):
        schema = OmegaConf.get_type(stored_node(group, option))
        found[option] = _JOBLIB if option == "joblib" else field_docs(schema)  # type: ignore[arg-type]
    return found


def stored_options(group: str) -> list[str]:
    """The options of a group that is registered from Python. Hydra's own sweeper and old names are left out."""
    from hydra.core.config_store import ConfigStore

    hidden = ("packed", "basic") if group == "hydra/sweeper" else ("packed",)
    names = sorted(name.removesuffix(".yaml") for name in ConfigStore.instance().list(group))
    return [name for name in names if name not in hidden]


def stored_node(group: str, option: str) -> Any:
    """The configuration of such an option."""
    from hydra.core.config_store import ConfigStore

    return ConfigStore.instance().load(f"{group}/{option}.yaml").node


@cache
def field_docs(schema: type) -> dict[str, str]:
    """The docstring under each field of a dataclass, as one line, with those of its base classes."""
    found: dict[str, str] = {}
    for base in reversed(schema.__mro__[:-1]):
        body = ast.parse(inspect.getsource(base)).body[0].body  # type: ignore[attr-defined]
        for field, following in itertools.pairwise(body):
            is_field = isinstance(field, ast.AnnAssign) and isinstance(following, ast.Expr)
            if is_field and isinstance(following.value, ast.Constant) and isinstance(field.target, ast.Name):
                found[field.target.id] = _one_line(str(following.value.value))
    return found


def argument_docs(docstring: str) -> dict[str, str]:
    """The entries under Args of a docstring in Google's style, as one line each, without default values.

    >>> argument_docs("Adam.\\n\\nArgs:\\n    eps: Added to the root\\n        of v. Default: 1e-8.\\n\\nSource: me.")
    {'eps': 'Added to the root of v.'}
    """
    _, _, after = inspect.cleandoc(docstring).partition("Args:\n")
    section = re.split(r"\n(?=\S)", after)[0]
    entries = re.findall(r"^    (\w+): (.+?)(?=^    \w|\Z)", section, flags=re.MULTILINE | re.DOTALL)
    return {name: _DEFAULT.sub("", _one_line(text)) for name, text in entries}


def _one_line(text: str) -> str:
    return " ".join(text.split())


@cache
def _factory_docs(group: str) -> dict[str, dict[str, str]]:
    """Name of a factory -> key -> text, for the groups with keys that are arguments of factories."""
    if group == "scheduler":
        return {name: argument_docs(inspect.getdoc(factory) or "") for name, factory in SCHEDULES.items()}
    if group == "optimizer":
        return {name: argument_docs(text) for name, text in _function_docs("warmup_lab.optimizers").items()}
    return {}


def _function_docs(package: str) -> dict[str, str]:
    """The docstring of each public function of the modules of a package, which is not imported."""
    spec = find_spec(package)
    folders: Iterable[str] = spec.submodule_search_locations or () if spec else ()
    trees = [ast.parse(path.read_text(encoding="utf-8")) for folder in folders for path in Path(folder).glob("*.py")]
    functions = [node for tree in trees for node in tree.body if isinstance(node, ast.FunctionDef)]
    return {node.name: ast.get_docstring(node) or "" for node in functions if not node.name.startswith("_")}
