# `make` alone lists what can be done here. Every command sets up .venv first, which is instant the second time.

.DEFAULT_GOAL := help
.PHONY: help run test check bench lock clean setup setup-dev

# The repository to read: a path, a git URL or owner/name.
REPO := $(CURDIR)
# Further arguments: for sparky run, pytest, a measurement, or uv pip compile.
ARGS :=
# The measurements to run.
BENCH := ingest run

BIN := .venv/bin
CODE := $(wildcard sparky swarm)
COMPILE := $(BIN)/uv pip compile --quiet --universal --python-version 3.11 --only-binary :all: --generate-hashes \
	--no-header --no-annotate --no-emit-index-url pyproject.toml --group build

help: ## List these commands
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-6s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

run: setup ## Print the digest of a repository: make run REPO=<path or URL> ARGS="--since 30d"
run: export SOURCE := $(value REPO)
run:
	@$(BIN)/sparky run $(ARGS) -- "$$SOURCE"

test: setup-dev ## Run the tests: make test ARGS="tests/unit -k chunks"
	$(BIN)/pytest --numprocesses logical --maxprocesses 4 --dist loadfile $(ARGS)

check: setup-dev ## Check format, lint, types and who imports whom
	$(BIN)/ruff format --check
	$(BIN)/ruff check
	$(BIN)/mypy $(CODE)
	$(BIN)/lint-imports --no-logo

bench: setup-dev ## Measure speed: make bench BENCH=ingest
	@for name in $(BENCH); do $(BIN)/python bench/$$name.py $(ARGS) || exit; done

lock: setup-dev ## Write the lock files from pyproject.toml; ARGS=--upgrade takes the newest versions
	$(COMPILE) --output-file requirements.txt $(ARGS)
	$(COMPILE) --output-file requirements-dev.txt --group dev --constraint requirements.txt $(ARGS)

clean: ## Remove .venv and the caches
	rm -rf .venv .hypothesis .import_linter_cache .mypy_cache .pytest_cache .ruff_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

setup:
	@tools/bootstrap run

setup-dev:
	@tools/bootstrap dev
