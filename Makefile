# Everything a person or a CI job does with this checkout. `make help` lists it.
# Needs Python 3.11 or newer, Node with npm, and make; the network only while something
# is not installed yet.

PYTHON_BIN := .venv/bin/python
OPENCODE_PINNED := 1.18.33
OPENCODE_OTHERS := 1.15.4 1.17.19
OPENCODE_NEXT := 0.0.0-next-16350

# Tests of one file and line of OpenCode stay together, since they share what is slow to start. A
# real OpenCode keeps a core busy while it starts, and waits for most of the rest: three share two.
WORKERS := 3

# Stamps: what they depend on says when an installation is out of date.
PYTHON_READY := .venv/.installed
OPENCODE_READY := tools/opencode/node_modules/.installed
NEXT_READY := tools/opencode/next/node_modules/.installed
OTHERS_READY := $(OPENCODE_OTHERS:%=tools/opencode/versions/%/.installed)

.DEFAULT_GOAL := help
.PHONY: help setup demo test test-versions docs screens bench fuzz faults soak clean

help: ## List the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-15s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

setup: $(PYTHON_READY) $(OPENCODE_READY) $(NEXT_READY) ## Install what the checkout needs, where it is missing

demo: setup ## Show a delegation from start to end (LINE=2, MODEL=provider/id for a real model)
	@$(PYTHON_BIN) -m lab.demo $(if $(LINE),--line $(LINE)) $(if $(MODEL),--model $(MODEL))

test: setup ## Run every check and every test
	$(PYTHON_BIN) -m ruff check
	$(PYTHON_BIN) -m ruff format --check
	$(PYTHON_BIN) -m mypy
	.venv/bin/lint-imports
	$(PYTHON_BIN) -m pytest -n $(WORKERS) --dist loadfile -m "not alone"
	$(PYTHON_BIN) -m pytest -m alone

test-versions: setup $(OTHERS_READY) ## Run the main path on each supported OpenCode
	@set -e; for version in $(OPENCODE_OTHERS) $(OPENCODE_PINNED) $(OPENCODE_NEXT); do \
	  echo "== OpenCode $$version"; \
	  env -u OPENCODE_BIN OPENCODE_VERSION=$$version $(PYTHON_BIN) -m pytest tests/opencode -m main_path; \
	done

docs: setup ## Write the reference anew and build the documentation into build/docs
	$(PYTHON_BIN) -m lab.reference
	$(PYTHON_BIN) -m sphinx -W --keep-going -q -E -a -d build/doctrees docs build/docs

screens: setup ## Take the pictures of the documentation anew, of the real programs at work
	$(PYTHON_BIN) -m lab.screens

bench: setup ## Measure, on a real OpenCode of each line (LINE=2 for one)
	@$(PYTHON_BIN) -m lab.bench $(if $(LINE),--line $(LINE))

fuzz: setup ## Look a hundred times longer for input that breaks a parser
	HYPOTHESIS_PROFILE=fuzz $(PYTHON_BIN) -m pytest tests/security --timeout 3600

faults: setup ## Kill it at every commit and every send, and check the promise
	@$(PYTHON_BIN) -m lab.faults $(if $(LINE),--line $(LINE))

soak: setup ## Work without a pause, be killed at random, and measure (MINUTES=15, SEED=)
	@$(PYTHON_BIN) -m lab.soak --minutes $(or $(MINUTES),15) $(if $(SEED),--seed $(SEED)) $(if $(LINE),--line $(LINE))

clean: ## Remove everything that setup and the tools made
	rm -rf .venv tools/opencode/node_modules tools/opencode/next/node_modules tools/opencode/versions
	rm -rf build dist
	rm -rf .mypy_cache .pytest_cache .ruff_cache .import_linter_cache .hypothesis

$(PYTHON_READY): pyproject.toml constraints.txt tools/setup.sh
	tools/setup.sh python
	@touch $@

$(OPENCODE_READY): tools/opencode/package.json tools/opencode/package-lock.json
	tools/setup.sh opencode
	@touch $@

$(NEXT_READY): tools/opencode/next/package.json tools/opencode/next/package-lock.json
	tools/setup.sh next
	@touch $@

$(OTHERS_READY): tools/opencode/versions/%/.installed:
	tools/setup.sh opencode $*
	@touch $@
