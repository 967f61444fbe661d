# Every target makes .venv from the pinned files when it is missing or older than these.
# The first Python 3.11 on PATH that can make virtual environments (Debian's own cannot without python3-venv).
PYTHON ?= $(shell for python in python3.11 python3; do $$python -c 'import ensurepip, sys; sys.exit(sys.version_info[:2] != (3, 11))' \
	2>/dev/null && echo $$python && break; done)
CORES ?= all
# Processes that test side by side; each takes up to 2 GB.
WORKERS ?= 2
VENV := .venv
BIN := $(VENV)/bin

# `make env ENV=gpu` takes the CUDA build; from then on .venv is the GPU's, also where it must be made again, until ENV=cpu is said.
# It is said to make: shells and environment modules have a variable ENV of their own.
ifneq ($(origin ENV),command line)
ENV := $(or $(patsubst $(VENV)/.for-%,%,$(firstword $(wildcard $(VENV)/.for-*))),cpu)
endif
ifeq ($(filter cpu gpu,$(ENV)),)
$(error ENV is "$(ENV)": say cpu or gpu)
endif
READY := $(VENV)/.ready-$(ENV)

.PHONY: env demo test test-slurm check bench profile manual clean
.DELETE_ON_ERROR:

env: $(READY)

$(READY): envs/cpu.txt envs/gpu.txt envs/tokenizers.txt pyproject.toml
	@test -n "$(PYTHON)" || { echo "No Python 3.11 with venv on PATH: install it, or say make PYTHON=/path/to/python3.11" >&2; exit 1; }
	$(PYTHON) -m venv --clear $(VENV)
	@touch $(VENV)/.for-$(ENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --requirement envs/$(ENV).txt
	$(BIN)/python -m pip download --quiet --disable-pip-version-check --no-deps --dest $(VENV)/tokenizers --requirement envs/tokenizers.txt
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	@touch $@

demo: $(READY)
	$(BIN)/snakemake --configfile config/demo.yaml --cores $(CORES) --quiet host reason
	@$(BIN)/bioner summary runs/demo/reports

test: $(READY)
	$(BIN)/python -m pytest -m "not slow" --ignore tests/slurm --numprocesses $(WORKERS) --dist worksteal

# A real Slurm of two nodes, started for the tests alone (Debian: slurm-wlm munge; for accounting slurmdbd mariadb-server).
# The slower half of the disturbances too; `make test-slurm ARGS='-m "not slow"'` leaves them out.
test-slurm: $(READY)
	$(BIN)/python -m pytest tests/slurm -rs $(ARGS)

# A site's profile: asks what it does not know. make profile ARGS='--gpu-partition a100 --account mine'
profile: $(READY)
	@$(BIN)/bioner profile profiles/site $(ARGS)

check: $(READY)
	$(BIN)/python -m pytest tests/workflow/test_lint.py

bench: $(READY)
	@for file in benchmarks/*.py; do $(BIN)/python $$file $(ARGS) || exit 1; done

manual: $(READY)
	$(BIN)/python docs/manual.py

clean:
	rm -rf runs .pytest_cache .ruff_cache .mypy_cache .hypothesis
