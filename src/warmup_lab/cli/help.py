"""The text of `--help`: every group with its options, and every key with its value and what it means."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf

from warmup_lab.cli.key_docs import field_docs, group_docs, hydra_docs, stored_node, stored_options
from warmup_lab.cli.keys import known_keys, option_values, parents
from warmup_lab.config import GROUPS, section_schema
from warmup_lab.system import train_program

WIDTH = 100
_COLUMN = 34
"""Where the texts start. A longer `key=value` has its text on the next line."""
_HEAD = """\
Train a small classifier with one warmup strategy. With -m, train a grid of strategies over paired
seeds and compare them.

{program} [KEY=VALUE ...]

Examples
  {program} scheduler=warmupcosine warmup_ratio=0.1
  {program} task=files task.train_file=a.tsv task.validation_file=b.tsv
  {program} model=pretrained model.path=bert-base-uncased optimizer.lr=5e-5
  {program} -m scheduler=warmuplinear,warmupcosine warmup_ratio=0,0.1,0.5 'seed=range(6)'

Each key is shown with its current value: the default, unless this command sets it. Parentheses
list the options that have the key, with their own defaults where these differ. An option that is
built on a listed one has the key too.
"""
_FOOT = """\
--cfg job prints the configuration of a command, --hydra-help lists Hydra's own flags.
"""
_ROOT = {
    "Training": (
        "seed epochs max_steps batch_size grad_accumulation max_grad_norm warmup_ratio warmup_steps warmup_epochs "
        "device precision num_threads"
    ),
    "Evaluations and files": "eval_every checkpoint_every save_model force study output",
}
"""Title -> keys of the root. Those that are not listed here are in the section on comparisons."""
_SWEEPS = ("hydra/sweeper", "hydra/launcher")


def help_text(config: DictConfig) -> str:
    """The whole text, at most `WIDTH` columns wide. `config` is Hydra's, with the current values and choices."""
    values: Any = OmegaConf.to_container(OmegaConf.masked_copy(config, [str(key) for key in config if key != "hydra"]))
    choices: Mapping[str, str] = OmegaConf.select(config, "hydra.runtime.choices", default={})
    blocks = [_HEAD.format(program=" ".join(Path(word).name for word in train_program()))]
    blocks += [_block(title, _plain_keys("", keys.split(), values)) for title, keys in _ROOT.items()]
    blocks += [_block(group.capitalize(), _group_keys(group, values[group], choices)) for group in GROUPS]
    blocks.append(_block("Comparisons", _comparison_keys(values, choices)))
    return "\n".join([*blocks, _FOOT]).rstrip()


def register_help() -> None:
    """Makes `${help:}` available to `hydra.help.template`."""

    def text(*, _root_: DictConfig) -> str:
        return help_text(_root_).replace("$", "$$")  # Hydra substitutes what follows a `$`

    OmegaConf.register_new_resolver("help", text, replace=True)


# -------------------------------------------------------------------------------------------------------- content


def _plain_keys(section: str, keys: Iterable[str], values: Mapping[str, Any]) -> list[str]:
    """The keys of a section without options."""
    docs = field_docs(section_schema(section))
    prefix = f"{section}." if section else ""
    return [line for key in keys for line in _entry(f"{prefix}{key}", values[key], [docs[key]])]


def _group_keys(group: str, values: Mapping[str, Any], choices: Mapping[str, str]) -> list[str]:
    options, docs = option_values(group), group_docs(group)
    lines = _entry(group, choices.get(group), [_one_of(options)])
    for key in dict.fromkeys((*values, *docs)):
        defaults = {option: found[key] for option, found in options.items() if key in found}
        chosen = choices.get(group)
        meanings = sorted(docs[key].items(), key=lambda item: (chosen not in item[1], -len(item[1])))
        value = values[key] if key in values else defaults[_built_on(group, meanings[0][1])[0]]
        if len(defaults) == len(options) and len(meanings) == 1:
            texts = [meanings[0][0]]
        else:
            texts = [f"{text} ({_names(group, names, defaults, value)})" for text, names in meanings]
        lines += _entry(f"{group}.{key}", value, texts)
    return lines


def _names(group: str, names: Sequence[str], defaults: Mapping[str, Any], value: Any) -> str:
    """The options `names`, without those built on another, each with its default unless that is `value`."""
    others = [option for option in option_values(group) if option not in names]
    if len(others) == 1:
        return f"all but {others[0]}"
    shown = [
        name if defaults[name] == value else f"{name} with {_shown(defaults[name])}" for name in _built_on(group, names)
    ]
    return ", ".join(shown)


def _built_on(group: str, names: Iterable[str]) -> list[str]:
    """The options `names` without those whose defaults list has another of them."""
    found = list(names)
    return [name for name in found if not any(parent in found for parent in parents(group, name))]


def _comparison_keys(values: Mapping[str, Any], choices: Mapping[str, str]) -> list[str]:
    listed = {key for keys in _ROOT.values() for key in keys.split()}
    others = [key for key in values if key in known_keys("") - listed and not isinstance(values[key], dict)]
    lines = _plain_keys("", (key for key in others if key != "experiment"), values)
    lines += _plain_keys("compare", values["compare"], values["compare"])
    lines += _entry("experiment", choices.get("experiment"), [_one_of(stored_options("experiment"))])
    return lines + [line for group in _SWEEPS for line in _hydra_keys(group, choices)]


def _hydra_keys(group: str, choices: Mapping[str, str]) -> list[str]:
    """The options of a group of Hydra, and the keys of those that document them."""
    docs = hydra_docs(group)
    nodes = {option: stored_node(group, option) for option in docs}
    texts: dict[str, dict[str, list[str]]] = {}  # key -> text -> options that have it
    values: dict[str, Any] = {}
    for option, keys in docs.items():
        for key in (key for key in nodes[option] if key in keys and key != "params"):  # typed without a prefix
            texts.setdefault(key, {}).setdefault(keys[key], []).append(option)
            values.setdefault(key, nodes[option][key])
    choice = choices.get(group)
    lines = _entry(group, choice if choice in nodes else "grid", [_one_of(nodes)])
    for key, found in texts.items():
        shown = [f"{text} ({', '.join(options)})" for text, options in found.items()]
        lines += _entry(f"{group.replace('/', '.')}.{key}", values[key], shown)
    return lines


# ---------------------------------------------------------------------------------------------------------- layout


def _block(title: str, lines: Iterable[str]) -> str:
    return "\n".join([title, *lines, ""])


def _one_of(options: Iterable[str]) -> str:
    return f"One of {', '.join(options)}."


def _entry(key: str, value: Any, texts: Iterable[str]) -> list[str]:
    """The lines of one key: `key=value` in the left column, its texts in the right one."""
    plain = [text.replace("`", "") for text in texts]
    wrapped = [line for text in plain for line in _wrap(text)]
    left = f"  {key}={_shown(value)}"
    if len(left) > _COLUMN - 2:
        return [left, *(f"{'':{_COLUMN}}{line}" for line in wrapped)]
    return [f"{left:{_COLUMN}}{wrapped[0]}", *(f"{'':{_COLUMN}}{line}" for line in wrapped[1:])]


def _wrap(text: str) -> list[str]:
    return textwrap.wrap(text, WIDTH - _COLUMN, break_long_words=False, break_on_hyphens=False)


def _shown(value: Any) -> str:
    """The value as it is typed on the command line."""
    if isinstance(value, list | tuple):
        return f"[{','.join(map(_shown, value))}]"
    if value is None or isinstance(value, bool):
        return "null" if value is None else str(value).lower()
    return f"{value:g}" if isinstance(value, float) else str(value)
