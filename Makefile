# `make` lists the targets. Everything they need is installed into .venv, from the exact versions of constraints.txt.
PYTHON ?= python3
BIN := .venv/bin
STAMP := .venv/.installed
RAY_STAMP := .venv/.installed-ray
# -qq shows only errors. With one -q, pip warns once per package if the machine has a second package index.
PIP := $(BIN)/python -m pip install -qq --disable-pip-version-check --constraint constraints.txt

# Otherwise make would ignore `make train optimizer.lr=3e-4`.
SETTINGS := $(strip $(foreach name,$(filter-out ARGS PYTHON,$(.VARIABLES)),$(if $(filter command,$(origin $(name))),$(name)=$($(name)))))
$(if $(SETTINGS),$(error settings go into ARGS: make $(MAKECMDGOALS) ARGS="$(SETTINGS)"))

.DEFAULT_GOAL := help
.PHONY: help install train test test-slurm test-ray test-s3 test-all recommend compare bench chaos golden null-test evidence schedules lint format audit clean

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / { printf "  make %-9s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

install: $(STAMP) ## set up .venv with exact versions

$(STAMP): constraints.txt pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "warmup-lab needs Python 3.11 or later; say which with make PYTHON=python3.11")'
	@echo "setting up .venv (a few minutes the first time)"
	@test -x $(BIN)/python || $(PYTHON) -m venv .venv
	@$(PIP) hatchling editables
	@$(PIP) torch  # first and alone, so that nothing else chooses its build
	@$(PIP) --no-build-isolation --editable ".[optimizers,joblib,optuna,dev]"
	@touch $@

train: install ## one run on the embedded task; make train ARGS="scheduler=warmupcosine warmup_ratio=0.1"
	@$(BIN)/python train.py $(ARGS)

test: install ## the tests; make test ARGS="-k schedules"
	@# one thread per worker, because several are slower on tiny tensors; tests/conftest.py sets the order of the files
	@# they start many processes, which would compile everything again under PYTHONDONTWRITEBYTECODE
	@PYTHONDONTWRITEBYTECODE= OMP_NUM_THREADS=1 $(BIN)/python -m pytest --numprocesses auto --dist loadfile --no-loadscope-reorder $(ARGS)

test-slurm: install ## a sweep on a Slurm cluster of its own; needs root, slurmctld, slurmd and munge
	@$(BIN)/python tests/support/slurm_cluster.py  # says what is missing
	@OMP_NUM_THREADS=1 $(BIN)/python -m pytest --numprocesses 0 tests/cluster/test_slurm.py $(ARGS)

test-ray: $(RAY_STAMP) ## a sweep on a Ray cluster of its own, of which a node is killed
	@OMP_NUM_THREADS=1 $(BIN)/python -m pytest --numprocesses 0 tests/cluster/test_ray.py $(ARGS)

$(RAY_STAMP): $(STAMP)
	@$(PIP) --no-build-isolation --editable ".[ray]"
	@touch $@

test-s3: install ## results on S3, on a server of moto on this machine
	@$(PIP) --no-build-isolation --editable ".[s3-test]"
	@OMP_NUM_THREADS=1 $(BIN)/python -m pytest --numprocesses 0 tests/cluster/test_s3.py $(ARGS)

test-all: test test-s3 test-ray ## the tests and those on clusters, 30 minutes; without root or Slurm all but test-slurm
	@if $(BIN)/python tests/support/slurm_cluster.py; then $(MAKE) --no-print-directory test-slurm; else echo "test-slurm is skipped"; fi

recommend: install ## an lr and a warmup in 5 minutes; make recommend ARGS="task=files task.train_file=my.csv"
	@$(BIN)/python train.py -m experiment=recommend hydra/launcher=fastest $(ARGS)

compare: install ## a small comparison on the embedded task, with its report
	@$(BIN)/python train.py -m experiment=compare hydra/launcher=fastest $(ARGS)

bench: install ## the benchmarks, 50 minutes; make bench ARGS="--only step study"
	@$(BIN)/python tests/benchmarks/run_all.py $(ARGS)

chaos: install ## kill runs and sweeps, run them again, compare: 20 minutes; make chaos ARGS="--phases single"
	@$(BIN)/python tests/benchmarks/chaos.py $(ARGS)

golden: install ## a fixed run against transformers' Trainer: 50 updates, equal to 1e-5
	@OMP_NUM_THREADS=1 $(BIN)/python -m pytest tests/end_to_end/test_golden.py

null-test: install ## size and power of verdicts by simulation, 10 minutes; make null-test ARGS="--only attacks"
	@$(BIN)/python tests/benchmarks/null_test.py $(ARGS)

evidence: install ## recompute every number of the studies' pages from their results
	@$(BIN)/python experiments/evidence.py $(ARGS)

schedules: install ## draw every schedule and warmup into docs/
	@$(BIN)/python -m warmup_lab.figures scheduler=all scheduler.warmup=all warmup_ratio=0.2 'optimizer.betas=[0.9,0.98]' \
		--out docs/schedules.png docs/schedules.svg --each docs/schedules

lint: install ## formatting, lint, types and the order of imports
	@$(BIN)/ruff format --check .
	@$(BIN)/ruff check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports --no-cache

format: install ## format the code and apply the automatic fixes of lint
	@$(BIN)/ruff format .
	@$(BIN)/ruff check --fix .

audit: install ## who requires each package, whether constraints.txt pins it, and known vulnerabilities
	@$(BIN)/python .ci/audit.py

clean: ## remove .venv and caches, keep runs/
	@rm -rf .venv .mypy_cache .ruff_cache
