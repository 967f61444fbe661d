# Every target first has envs/build.py build .venvs/<digest of the pins>, unless it is there, and link .venv to it.
# That runs with the linked environment's Python, or else with the first Python 3.11 on PATH that can make virtual
# environments (Debian's own cannot without python3-venv).
PYTHON ?= $(eval PYTHON := $(shell $(VENV)/bin/python -ISc 'import sys; sys.exit(sys.version_info < (3, 11))' \
	2>/dev/null && echo $(VENV)/bin/python || \
	for python in python3.11 python3; do $$python -c 'import ensurepip, sys; sys.exit(sys.version_info[:2] != (3, 11))' \
	2>/dev/null && echo $$python && break; done))$(PYTHON)
CORES ?= all
# Processes that test side by side; each takes up to 2 GB.
WORKERS ?= 2
VENV := .venv
# The environment's own folder, looked up as a recipe starts: what runs there keeps its environment when .venv links elsewhere.
BIN = $(shell realpath -m --relative-base=. $(VENV))/bin

# `make env ENV=gpu` takes the CUDA build; later targets keep it until ENV=cpu is said.
# It is said to make: shells and environment modules have a variable ENV of their own.
ifeq ($(origin ENV),command line)
ifeq ($(filter cpu gpu,$(ENV)),)
$(error ENV is "$(ENV)": say cpu or gpu)
endif
KIND := $(ENV)
endif
BUILD = test -n "$(PYTHON)" || { echo "No Python 3.11 with venv on PATH: install it, or say make PYTHON=/path/to/python3.11" >&2; \
	exit 1; }; $(PYTHON) -IS envs/build.py

.PHONY: env clean-envs demo test test-all test-slurm check bench gpu-check profile manual clean
.DELETE_ON_ERROR:

env:
	@$(BUILD) $(KIND)

# Lists the environments, and removes those that are not linked and were not used for 30 days.
clean-envs:
	@$(BUILD) --clean

demo: env
	$(BIN)/snakemake --configfile config/demo.yaml --cores $(CORES) --quiet host reason
	@$(BIN)/bioner summary runs/demo/reports

# All subjects, each cheaply: a test may take 8 CPU seconds. test-all adds what is marked slow: long and random variants,
# and real processes where `make test` forks them.
TESTS = --numprocesses $(WORKERS) --dist worksteal --preload --ignore tests/slurm
test: env
	$(BIN)/python -m pytest $(TESTS) -m "not slow" --cpu-limit 8 $(ARGS)

test-all: env
	$(BIN)/python -m pytest $(TESTS) --cpu-limit 600 $(ARGS)

# A real Slurm of two nodes, started for the tests alone (Debian: slurm-wlm munge; for accounting slurmdbd mariadb-server).
# The slower half of the disturbances too; `make test-slurm ARGS='-m "not slow"'` leaves them out.
test-slurm: env
	$(BIN)/python -m pytest tests/slurm -rs $(ARGS)

# A site's profile: asks what it does not know. make profile ARGS='--gpu-partition a100 --account mine'
profile: env
	@$(BIN)/bioner profile profiles/site $(ARGS)

# Snakemake advises conda environments for rules; envs/ holds ours.
ADVICE = Specify a conda environment or container for each rule.
check: env
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/snakefmt --check Snakefile workflow
	$(BIN)/mypy
	@advice=$$($(BIN)/snakemake --lint 2>&1 | sed -n 's/^    \* \(.*\):$$/\1/p' | sort -u); \
	test "$$advice" = "$(ADVICE)" || { echo "snakemake --lint: $$advice" >&2; exit 1; }

bench: env
	@for file in $(filter-out benchmarks/gpu_session.py,$(wildcard benchmarks/*.py)); do $(BIN)/python $$file $(ARGS) || exit 1; done

# Measures one GPU in at most ten minutes, and resumes. Without a GPU: make gpu-check ARGS=--rehearse
gpu-check: env
	$(BIN)/python benchmarks/gpu_session.py $(ARGS)

manual: env
	$(BIN)/python docs/manual.py

clean:
	rm -rf runs .pytest_cache .ruff_cache .mypy_cache .hypothesis
