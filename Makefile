# make setup once is enough; every other target runs it first, and it is quick when nothing changed.

BIN := .venv/bin
QUICK_TESTS := $(wildcard tests/unit tests/wire tests/sim)
SEEDS ?= 0..1000

.DEFAULT_GOAL := help
.PHONY: help setup demo check test fmt proto lock clean

help: ## Show this list
	@grep -E '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z]+):.*## /  make \1\t/' | expand -t 16

setup: ## Install the project into .venv, MySQL and etcd into .parts (PYTHON=... names the Python to use)
	@python=$$(PYTHON="$(PYTHON)" scripts/find-python) && "$$python" scripts/setup.py

demo: ## Run a small cluster with real MySQL servers, to watch and to break; where there is no MySQL, simulated ones
	@python=$$(PYTHON="$(PYTHON)" scripts/find-python) && "$$python" scripts/setup.py --servers-optional
	@$(BIN)/vtorc demo

check: setup ## Lint, format check, strict types, floors, generated code current
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy src tests scripts bench
	$(BIN)/lint-imports --no-cache
	$(BIN)/python scripts/gen_proto.py --check

# The quick tests first: what they find would only be found slowly by real servers.
test: check ## check, then all tests: unit, wire, simulated worlds (SEEDS=0..1000), end to end on real servers
	$(BIN)/python -m pytest -n 2 $(QUICK_TESTS)
	$(BIN)/vtorc sim --seeds $(SEEDS)
	$(BIN)/python -m pytest -n 2 --dist loadfile -v tests/e2e

fmt: setup ## Format the code and mend what ruff can mend
	$(BIN)/ruff check --fix-only --quiet .
	$(BIN)/ruff format .

proto: setup ## Make the generated protobuf code again
	$(BIN)/python scripts/gen_proto.py

lock: setup ## Resolve requirements.lock again from pyproject.toml
	$(BIN)/uv pip compile --quiet --python-version 3.11 --extra dev --upgrade --no-annotate --no-header \
		--no-emit-index-url --no-emit-find-links --output-file requirements.lock pyproject.toml

clean: ## Remove what setup and the tools made here (fetched parts stay in the user's cache)
	rm -rf .venv .parts .mypy_cache .ruff_cache .pytest_cache .hypothesis build dist
