"""`make audit`, on made-up packages and on the installed ones."""

from __future__ import annotations

import importlib.util
import socket
from importlib.metadata import Distribution, distributions
from pathlib import Path

import pytest
from packaging.utils import canonicalize_name
from program import ROOT

spec = importlib.util.spec_from_file_location("audit", ROOT / ".ci" / "audit.py")
assert spec is not None
assert spec.loader is not None
audit = importlib.util.module_from_spec(spec)
spec.loader.exec_module(audit)


def installed_in(folder: Path, packages: dict[str, list[str]]) -> dict[str, Distribution]:
    """Version 1.0 of packages whose metadata have these further lines."""
    for name, lines in packages.items():
        info = folder / f"{name}-1.0.dist-info"
        info.mkdir(parents=True)
        (info / "METADATA").write_text(
            "\n".join(["Metadata-Version: 2.1", f"Name: {name}", "Version: 1.0", *lines, "", ""])
        )
    return {canonicalize_name(item.name): item for item in distributions(path=[str(folder)])}


def test_requirers_follow_markers_and_the_extras_that_are_asked_for(tmp_path):
    installed = installed_in(tmp_path, {
        "warmup-lab": ["Provides-Extra: dev", "Requires-Dist: alpha[fast]", "Requires-Dist: Tool_x; extra == 'dev'"],
        "alpha": ["Provides-Extra: fast", "Provides-Extra: unused", "Requires-Dist: beta", "Requires-Dist: gone",
                  "Requires-Dist: speed; extra == 'fast'", "Requires-Dist: waste; extra == 'unused'",
                  "Requires-Dist: windows-only; sys_platform == 'win32'"],
        "beta": [], "speed": [], "tool.X": [], "waste": [], "windows-only": [],
    })  # fmt: skip
    found = audit.find_requirers(installed)
    assert {name: sorted(found[name]) for name in installed} == {
        "warmup-lab": [], "alpha": ["warmup-lab"], "beta": ["alpha"], "speed": ["alpha[fast]"],
        "tool-x": ["warmup-lab[dev]"], "waste": [], "windows-only": [],
    }  # fmt: skip


def test_a_package_that_is_not_pinned_or_pinned_otherwise_is_an_error(tmp_path):
    installed = installed_in(tmp_path / "site", {
        "torch": ["Requires-Dist: kernels==1.0", "Requires-Dist: loose>=0.5"], "kernels": [], "loose": [], "other": [],
    })  # fmt: skip
    (tmp_path / "constraints.txt").write_text("# Exact versions\nTorch==1.0\nother==1.1  # reason\n")
    pins = audit.read_pins(tmp_path / "constraints.txt")
    versions = {"kernels": "1.0", "loose": "1.0", "other": "1.0", "torch": "1.0+cpu", "pip": "23.2"}
    assert audit.problems(versions, audit.find_requirers(installed), pins) == [
        "loose 1.0 is not in constraints.txt",
        "other 1.0 is installed, and constraints.txt has 1.1",
    ]


def test_all_that_is_required_here_is_pinned():
    """Other installed packages do not count here. `make audit` fails on them."""
    installed = {canonicalize_name(item.name): item for item in distributions()}
    requirers, pins = audit.find_requirers(installed), audit.read_pins(ROOT / "constraints.txt")
    required = {name: item.version for name, item in installed.items() if requirers[name]}
    assert {"torch", "setuptools"} <= set(required)
    assert not audit.problems(required, requirers, pins)


def test_without_its_server_vulnerabilities_are_not_looked_up_and_that_is_said(capsys):
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))  # nothing listens
        server = f"http://127.0.0.1:{closed.getsockname()[1]}"
        assert audit.vulnerabilities(ROOT / "constraints.txt", server) is None
    assert capsys.readouterr().out == f"{server} cannot be reached, so known vulnerabilities were not looked up\n"


@pytest.mark.parametrize(("fixed_in", "words"), [(["2.20.0"], "fixed in 2.20.0"), ([], "fixed in no version")])
def test_a_vulnerability_is_a_line_and_a_package_that_was_not_looked_up_is_named(fixed_in, words, capsys):
    """The report has the form that `pip_audit/_format/json.py` of pip-audit 2.10.1 writes."""
    lines = audit.vulnerability_lines({
        "dependencies": [
            {"name": "requests", "version": "2.19.0", "vulns": [{"id": "PYSEC-2018-28", "fix_versions": fixed_in}]},
            {"name": "idna", "version": "3.20", "vulns": []},
            {"name": "own", "skip_reason": "Dependency not found on PyPI and could not be audited: own (1.0)"},
        ],
        "fixes": [],
    })  # fmt: skip
    assert lines == [f"requests 2.19.0: PYSEC-2018-28, {words}"]
    assert "looked up 2 of 3 packages\nthe server does not know the other 1 (own)" in capsys.readouterr().out
