"""A sweep and its report, shared by all tests of this folder."""

import os
import pickle
import shutil

import pandas as pd
import pytest
from fake_sweep import make_sweep
from filelock import FileLock

from warmup_lab.report.build import report_sweep
from warmup_lab.system import atomic_path


@pytest.fixture(scope="session")
def reported(tmp_path_factory):
    """A folder with its report, and the content of `comparison.json`.

    2 schedulers, 4 warmups, 2 learning rates, 6 seeds. Of the arms without warmup at the larger lr, one run diverged
    and one learned nothing. The workers of pytest-xdist share the folder, which the first of them makes.
    """
    base = tmp_path_factory.getbasetemp()
    shared = (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / "reported"
    folder, returned = shared / "study", shared / "returned.pickle"
    shared.mkdir(exist_ok=True)
    with FileLock(shared / "lock"):
        if not returned.exists():
            shutil.rmtree(folder, ignore_errors=True)  # of a worker that failed
            content = pickle.dumps(report_sweep(make_sweep(folder)))
            with atomic_path(returned) as temporary:
                temporary.write_bytes(content)
    return folder, pickle.loads(returned.read_bytes())


@pytest.fixture(scope="session")
def folder(reported):
    return reported[0]


@pytest.fixture(scope="session")
def comparison(reported):
    return reported[1]


@pytest.fixture(scope="session")
def table(folder):
    return pd.read_parquet(folder / "results.parquet")


@pytest.fixture(scope="session")
def page(folder):
    return (folder / "report.html").read_text()
