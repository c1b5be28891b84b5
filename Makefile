# coconut-lab. `make lab` and `make test` each do everything on a machine that has
# Python 3.11 or newer, pip and make: they create .venv, install the versions of
# constraints.txt, and go. Nothing is installed outside .venv.

PYTHON    ?= python3
VENV      ?= .venv
# More options for JupyterLab, such as: make lab LAB_FLAGS='--no-browser --port 9999'
LAB_FLAGS ?=
# More options for pytest, such as: make test PYTEST_FLAGS='-x -k tokenizer'
PYTEST_FLAGS ?=

PY         := $(VENV)/bin/python
LAB_READY  := $(VENV)/.ready-lab
TEST_READY := $(VENV)/.ready-test
MODELS     := tiny-base tiny-coconut tiny-cot tiny-no-cot tiny-icot tiny-pause tiny-no-curriculum \
              tiny-no-thought tiny-pause-as-thought tiny-pause-one-hop tiny-mixed tiny-untied-base \
              tiny-untied paper-frontier

.DEFAULT_GOAL := help
.PHONY: help lab test lint exercises notebooks site models results bench pins clean

help:  ## show this list
	@awk -F ':.*## ' '/^[a-z]+:[^#]*## / { printf "make %-10s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

# JupyterLab draws the kept pictures and explorers of a notebook only when it is trusted. What is
# trusted, and every other trace of the server, stays in .venv.
lab: export JUPYTER_DATA_DIR := $(abspath $(VENV))/share/jupyter
lab: $(LAB_READY)  ## set up, then open the course in JupyterLab
	@$(PY) -m jupyter trust notebooks/*.ipynb >/dev/null
	$(PY) -m jupyterlab --ServerApp.ip=127.0.0.1 --ServerApp.root_dir='$(CURDIR)' \
	    --LabApp.default_url=/lab/tree/notebooks/00_start_here.ipynb \
	    --LabApp.extension_manager=readonly \
	    $(if $(filter 0,$(shell id -u)),--allow-root) $(LAB_FLAGS)

# One pytest run over everything, so that its last line counts everything: a worker per core, each
# with one thread; the tests of one file stay together. On a GPU, notebook 04 trains the larger
# recipe, whose outputs are not those that are kept: tests stay on the CPU.
test: export CUDA_VISIBLE_DEVICES :=
test: export OMP_NUM_THREADS := 1
test: $(TEST_READY) lint  ## set up, then run every check: style, types, tests, notebooks, exercises
	$(PY) -m pytest -n auto --dist loadscope --nbval $(PYTEST_FLAGS) tests notebooks

lint: $(TEST_READY)  ## check style and types
	$(PY) -m ruff check
	$(PY) -m mypy

exercises: $(TEST_READY)  ## make exercises/ from solutions/
	$(PY) tools/make_exercises.py

notebooks: $(TEST_READY)  ## run every notebook from top to bottom and keep its outputs
	$(PY) tools/run_notebooks.py notebooks/*.ipynb

site: $(TEST_READY)  ## write site/: the notebooks and the model as pages that need no Python
	$(PY) tools/make_site.py

models: $(LAB_READY)  ## train the shipped models again
	$(PY) -m coconut_lab.study checkpoints $(MODELS)

results: $(LAB_READY)  ## measure every method, and depth against hops (hours; goes on where it was stopped)
	$(PY) -m coconut_lab.study methods
	$(PY) -m coconut_lab.study depth
	$(PY) -m coconut_lab.study thoughts
	$(PY) -m coconut_lab.study leaderboard
	$(PY) -m coconut_lab.study ladder
	$(PY) -m coconut_lab.study steering
	$(PY) -m coconut_lab.study tables

bench: $(TEST_READY)  ## print the measurements of tests/benchmarks
	for script in tests/benchmarks/bench_*.py; do $(PY) "$$script" || exit 1; done

pins:  ## write constraints.txt anew: torch as it is, else the newest that pyproject.toml allows
	rm -rf .venv-pins
	$(MAKE) VENV=.venv-pins .venv-pins/bin/python
	.venv-pins/bin/python -m pip install --quiet -e '.[test]' "$$(grep '^torch==' constraints.txt)"
	{ sed -n '/^#/p' constraints.txt; \
	  .venv-pins/bin/python -m pip freeze --all --exclude-editable --exclude pip | sed 's/+.*//' | LC_ALL=C sort -f; \
	} > .venv-pins/constraints.txt
	mv .venv-pins/constraints.txt constraints.txt
	rm -rf .venv-pins

clean:  ## remove .venv, caches and builds
	rm -rf $(VENV) .venv-pins site .hypothesis .mypy_cache .pytest_cache .ruff_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# Some systems ship venv without ensurepip: then the pip of $(PYTHON) installs one.
$(PY):
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
	    echo "coconut-lab needs Python 3.11 or newer, and '$(PYTHON)' is not." >&2; \
	    echo "Name one: make PYTHON=/path/to/python3.12 $(MAKECMDGOALS)" >&2; exit 1; }
	@echo "Creating $(VENV)"
	@$(PYTHON) -m venv $(VENV) >/dev/null 2>&1 \
	    || { $(PYTHON) -m venv --clear --without-pip $(VENV) \
	         && $(PYTHON) -m pip --python $(VENV)/bin/python install --quiet pip; } \
	    || { rm -rf $(VENV); exit 1; }

# JupyterLab's announcements would ask every learner whether to fetch news from the network.
define install
	@echo "Installing the pinned packages in $(VENV) (minutes, once)"
	@$(PY) -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[$(1)]'
	@$(PY) -m jupyterlab.labextensions disable @jupyterlab/apputils-extension:announcements
	@touch $(LAB_READY) $@
endef

$(LAB_READY): pyproject.toml constraints.txt | $(PY)
	$(call install,lab)

$(TEST_READY): pyproject.toml constraints.txt | $(PY)
	$(call install,test)
