# make setup once is enough; every other target runs it first, and it is quick when nothing changed.

BIN := .venv/bin
SEEDS ?= 0..1000
# Empty leaves the seeded bugs out of `make test`; with any other value all of them are tried.
SEEDED_BUGS ?=
# The modules below src/vtorc whose mutants are tried, by the begin of their names; empty tries all that decide.
MODULE ?=

.DEFAULT_GOAL := help
.PHONY: help setup demo check quick test bugs mutants pictures fmt proto lock clean

help: ## Show this list
	@grep -E '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z]+):.*## /  make \1\t/' | expand -t 16

setup: ## Install the project into .venv, MySQL, etcd, Consul, ZooKeeper and promtool into .parts (PYTHON=... names the Python to use)
	@python=$$(PYTHON="$(PYTHON)" scripts/find-python) && "$$python" scripts/setup.py

demo: ## Run a small cluster with real MySQL servers, to watch and to break; where there is no MySQL, simulated ones
	@python=$$(PYTHON="$(PYTHON)" scripts/find-python) && "$$python" scripts/setup.py --servers-optional
	@$(BIN)/vtorc demo

check: setup ## Lint, format check, strict types, floors, rules of the house, generated code current
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy src tests scripts bench
	$(BIN)/lint-imports --no-cache
	$(BIN)/python scripts/check_house.py
	$(BIN)/python scripts/gen_proto.py --check

quick: check ## check, then what finds most in two minutes: unit and wire tests, the model, 100 simulated worlds
	$(BIN)/python -m pytest -n 2 tests/unit tests/wire tests/sim/model
	$(BIN)/vtorc sim --seeds 0..100

# What is found in little time comes first. The end-to-end tests come last: their closing line says that all went well.
# They wait for real servers more than they compute, so four at a time keep two cores busy.
test: check ## check, then all tests: unit, wire, sim, worlds (SEEDS=0..1000), bugs (SEEDED_BUGS=all), end to end
	$(BIN)/python -m pytest -n 2 tests/unit tests/wire tests/sim
	$(BIN)/vtorc sim --seeds $(SEEDS)
ifneq ($(strip $(SEEDED_BUGS)),)
	$(BIN)/python -m bench.mutations
endif
	$(BIN)/python -m pytest -n 4 --dist loadfile -v tests/e2e

bugs: setup ## Switch on one seeded bug after the other, and see the simulator catch each
	$(BIN)/python -m bench.mutations

mutants: setup ## Break what decides, one expression at a time, and see the tests notice (MODULE=recovery/stop for a part)
	$(BIN)/python -m scripts.mutants $(MODULE)

pictures: setup ## Draw the pictures of the pages in docs/pictures, of a small real cluster in Chromium
	$(BIN)/python -m bench.pages.pictures

fmt: setup ## Format the code and mend what ruff can mend
	$(BIN)/ruff check --fix-only --quiet .
	$(BIN)/ruff format .

proto: setup ## Make the generated protobuf code again
	$(BIN)/python scripts/gen_proto.py

lock: setup ## Resolve requirements.lock again from pyproject.toml
	$(BIN)/uv pip compile --quiet --python-version 3.11 --extra dev --upgrade --no-annotate --no-header \
		--no-emit-index-url --no-emit-find-links --output-file requirements.lock pyproject.toml

clean: ## Remove what setup and the tools made here (fetched parts stay in the user's cache)
	rm -rf .venv .parts .mutants .mypy_cache .ruff_cache .pytest_cache .hypothesis build dist
