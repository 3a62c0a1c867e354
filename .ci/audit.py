"""What is installed, and why: every package with those that require it, checked against `constraints.txt`.

Run as `make audit`. Fails on a package that `constraints.txt` lacks or pins to another version, and on a known
vulnerability, which pip-audit looks up on pypi.org if that can be reached.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import venv
from collections import defaultdict
from collections.abc import Iterable, Mapping
from importlib.metadata import Distribution, distributions
from pathlib import Path
from typing import Any

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from warmup_lab.system import reachable

ROOT = Path(__file__).resolve().parents[1]
PIP_AUDIT = "pip-audit==2.10.1"
SERVER = "https://pypi.org"
NOT_PINNED = {"warmup-lab", "pip"}
"""This package, and the program that Python's venv brings."""

Requirers = dict[str, dict[str, Requirement]]
"""Package -> those that require it, such as `datasets` or `warmup-lab[dev]`, each with what it asks for."""


def read_pins(path: Path) -> dict[str, str]:
    """Package -> version, from the lines `name==version`."""
    lines = (line.partition("#")[0].strip() for line in path.read_text().splitlines())
    pins = (line.split("==") for line in lines if line)
    return {canonicalize_name(name): version for name, version in pins}


def find_requirers(installed: Mapping[str, Distribution]) -> Requirers:
    """Who requires each package. An extra counts if it is asked for, and every extra of warmup-lab does."""
    found: Requirers = defaultdict(dict)
    for name, extra, item in _requirements(installed):
        found[canonicalize_name(item.name)][f"{name}[{extra}]" if extra else name] = item
    return found


def _requirements(installed: Mapping[str, Distribution]) -> Iterable[tuple[str, str, Requirement]]:
    """All requirements that apply here, as requirer, the requirer's extra ("" for none) and requirement."""
    own = installed["warmup-lab"].metadata.get_all("Provides-Extra") or [] if "warmup-lab" in installed else []
    left = [(name, "") for name in installed] + [("warmup-lab", extra) for extra in own]
    done: set[tuple[str, str]] = set()
    while left:
        name, extra = left.pop()
        if (name, extra) in done or name not in installed:
            continue
        done.add((name, extra))
        for text in installed[name].requires or []:
            item = Requirement(text)
            if extra and (item.marker is None or item.marker.evaluate({"extra": ""})):
                continue  # required without the extra, too
            if item.marker is None or item.marker.evaluate({"extra": extra}):
                left += [(canonicalize_name(item.name), wanted) for wanted in item.extras]
                yield name, extra, item


def problems(versions: Mapping[str, str], requirers: Requirers, pins: Mapping[str, str]) -> list[str]:
    """One line for each package that is not installed in the version of `constraints.txt`.

    A package that a pinned one requires with `==` is pinned by it: on Linux with a GPU, torch brings several of these.
    """
    lines = []
    for name, version in versions.items():
        pinned_by = [other for other, item in requirers[name].items() if str(item.specifier).startswith("==")]
        if name in NOT_PINNED or (name not in pins and pinned_by):
            continue
        if name not in pins:
            lines.append(f"{name} {version} is not in constraints.txt")
        elif pins[name] != version.partition("+")[0]:
            lines.append(f"{name} {version} is installed, and constraints.txt has {pins[name]}")
    return lines


def vulnerabilities(pins: Path, server: str = SERVER) -> list[str] | None:
    """What pip-audit finds for the lines of `pins`, as `vulnerability_lines`; None if the server cannot be reached.

    pip-audit runs in an environment of its own, so that it is no dependency.
    """
    if not reachable(server):
        print(f"{server} cannot be reached, so known vulnerabilities were not looked up")
        return None
    with tempfile.TemporaryDirectory() as folder:
        venv.create(folder, with_pip=True)
        python = f"{folder}/bin/python"
        subprocess.run([python, "-m", "pip", "install", "-qq", "--disable-pip-version-check", PIP_AUDIT], check=True)
        options = ["--no-deps", "--disable-pip", "--progress-spinner", "off", "--format", "json"]
        command = [python, "-m", "pip_audit", "--requirement", str(pins), *options]
        done = subprocess.run(command, check=False, text=True, capture_output=True)
    if done.returncode > 1 or not done.stdout:  # 1: it found some
        raise SystemExit(f"error: pip-audit failed:\n{done.stderr}")
    return vulnerability_lines(json.loads(done.stdout))


def vulnerability_lines(report: Mapping[str, Any]) -> list[str]:
    """One line for each vulnerability in pip-audit's JSON. Prints how many packages were looked up."""
    packages = report["dependencies"]
    skipped = [item["name"] for item in packages if "skip_reason" in item]
    print(f"pip-audit looked up {len(packages) - len(skipped)} of {len(packages)} packages")
    if skipped:
        shown = ", ".join(skipped[:5]) + (", ..." if len(skipped) > 5 else "")
        print(f"the server does not know the other {len(skipped)} ({shown}): nothing is known of these")
    return [
        f"{item['name']} {item['version']}: {found['id']}, fixed in {', '.join(found['fix_versions']) or 'no version'}"
        for item in packages
        for found in item.get("vulns", [])
    ]


def main() -> int:
    installed = {str(canonicalize_name(item.name)): item for item in distributions()}
    requirers, pins = find_requirers(installed), ROOT / "constraints.txt"
    versions = {name: installed[name].version for name in sorted(installed)}
    width = max(map(len, installed))
    print(f"{'package':{width}}  {'version':16}  required by")
    for name, version in versions.items():
        print(f"{name:{width}}  {version:16}  {', '.join(sorted(requirers[name])) or '-'}")
    found = problems(versions, requirers, read_pins(pins))
    if not found:
        print(f"{len(versions)} packages, in the versions of constraints.txt")
    found += vulnerabilities(pins) or []
    for line in found:
        print(f"error: {line}")
    return int(bool(found))


if __name__ == "__main__":
    sys.exit(main())
