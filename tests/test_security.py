"""docs/security.md names a test for each of its claims."""

from __future__ import annotations

import re

from program import ROOT


def test_every_test_that_the_page_names_exists() -> None:
    named = []
    for line in (ROOT / "docs" / "security.md").read_text(encoding="utf-8").splitlines():
        path = ""
        for reference in re.findall(r"`(\S*::\w+)`", line):
            file, _, name = reference.partition("::")
            path = file or path
            named.append((path, name))
    assert len(named) > 20
    for path, name in named:
        assert f"\ndef {name}(" in (ROOT / path).read_text(encoding="utf-8"), f"{path}::{name}"


def test_every_claim_has_a_test() -> None:
    lines = (ROOT / "docs" / "security.md").read_text(encoding="utf-8").splitlines()
    rows = [
        line for line in lines if line.startswith("|") and not line.startswith(("| it cannot", "| refused", "|---"))
    ]
    assert len(rows) > 15
    assert not [row for row in rows if "::test_" not in row]
