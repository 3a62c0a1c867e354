"""The public interface: light to import, and complete."""

from __future__ import annotations

from program import ROOT, python

import warmup_lab

HEAVY = {"torch", "numpy", "pandas", "hydra", "omegaconf", "transformers", "scipy", "wandb", "pyarrow"}


def test_importing_the_package_loads_nothing_heavy():
    loaded = python("import sys, warmup_lab; print(*sys.modules)").split()
    assert not HEAVY & set(loaded)
    assert "warmup_lab" in loaded


def test_a_function_loads_what_it_needs_and_no_more():
    code = "import sys; from warmup_lab import oscillation; oscillation([1.0] * 30); print(*sys.modules)"
    loaded = set(python(code).split())
    assert "numpy" in loaded
    assert not {"torch", "hydra", "transformers", "scipy"} & loaded


def test_every_exported_name_exists():
    assert {"get_schedule", "oscillation", "compare", "load_runs"} <= set(warmup_lab.__all__)
    for name in warmup_lab.__all__:
        assert getattr(warmup_lab, name).__module__.startswith("warmup_lab.library."), name


def test_the_package_says_that_it_is_typed():
    assert (ROOT / "src" / "warmup_lab" / "py.typed").is_file()
