# One command each; every target sets up what it needs and is safe to repeat. Settings: docs/operating.md.
.DEFAULT_GOAL := help
.PHONY: messages help setup setup-dev demo run test check fuzz-api bench chaos fuzz screenshots image-base deploy schemas clean
MAKEFLAGS += --no-print-directory
PY := .venv/bin/python

help: ## this list
	@echo "Touchstone: make TARGET"
	@awk -F ':.*## ' '/^[a-z-]+:.*## /{printf "  %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup:
	@scripts/setup.sh runtime

setup-dev:
	@scripts/setup.sh dev

demo: setup ## evaluate real baselines in the ready-made competitions, then serve the site (ONCE=1: print the results and end)
	@$(PY) -m scripts.demo $(if $(filter-out 0,$(ONCE)),--once) $(if $(PORT),--port $(PORT))

run: setup ## the same stack without the demo's content: site, scheduler and one node, until Ctrl-C
	@$(PY) -m scripts.run $(if $(PORT),--port $(PORT))

test: ## all tests; as root on Debian it installs what they need (T="-k name" passes options to pytest)
	@scripts/install_test_needs.sh
	@scripts/setup.sh dev
	@scripts/test.sh $(T)

check: setup-dev ## style, types, import contracts, architecture, migrations, generated files
	@scripts/check.sh

fuzz-api: setup-dev ## made-up requests to every operation of the REST interface (CASES=40 each, SEED=1)
	@TOUCHSTONE_FUZZ_CASES=$(or $(CASES),40) TOUCHSTONE_FUZZ_SEED=$(or $(SEED),1) $(PY) -m pytest -q -n 0 tests/unit/api/test_api_fuzz.py

bench: setup-dev ## speed, as JSON on stdout, each number beside what it is compared with
	@$(PY) -m bench

chaos: setup-dev ## 200 runs on two nodes while every part is killed at random and every message comes twice; as root
	@PYTHONPATH=client:platform:. $(PY) -m scripts.chaos --runs 200 --rounds 3

fuzz: setup-dev ## mutated nasty files at every door by which files come in, for SECONDS (60); findings go to var/fuzz
	@OMP_NUM_THREADS=1 PYTHONPATH=client:platform:. $(PY) -m tests.fuzz --seconds $(or $(SECONDS),60)

screenshots: setup-dev ## the pictures of docs/screenshots, from seeded data by Chromium (STRICT=1: fail where one is missing)
	@PYTHONPATH=client:platform:. $(PY) -m scripts.screenshots $(if $(filter-out 0,$(STRICT)),--strict)

image-base: setup ## build the base image and the platform's runtime image in the Docker engine
	@$(PY) docker/build_base.py
	@$(PY) docker/build_runtime.py

deploy: setup ## a whole deployment by Compose: images, secrets, PostgreSQL, Redis, web, scheduler, nodes; again to upgrade
	@$(PY) docker/deploy.py up

schemas: setup-dev ## rewrite the generated files that `make check` compares
	@scripts/check.sh --write

messages: setup-dev ## bring the catalogues of translated texts up to date; what is left to translate is printed
	@PYTHONPATH=client:platform:. $(PY) -m scripts.messages

clean: ## remove the virtual environment, caches and build leftovers (ALL=1: the data under var/ too)
	rm -rf .venv .cache .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis build dist staticfiles *.egg-info client/*.egg-info
	find . -name __pycache__ -type d -not -path './var/*' -prune -exec rm -rf {} +
	$(if $(filter-out 0,$(ALL)),rm -rf var)
