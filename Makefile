# What can be done here; `make` alone lists it. Each command sets up .venv first, and that is instant the second time.

.DEFAULT_GOAL := help
.PHONY: help run test check bench lock clean setup setup-dev

BIN := .venv/bin
CODE := $(wildcard sparky swarm)

# The repository to read: a path, a git URL or owner/name.
REPO = $(CURDIR)
# Further arguments for `sparky run`, such as --since 30d.
ARGS =
# The measurement in bench/ to run.
BENCH = ingest

help: ## List these commands
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-9s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

run: setup ## Print the digest of a repository: make run REPO=<path or URL> ARGS="--since 30d"
run: export SOURCE := $(value REPO)
run:
	@$(BIN)/sparky run "$$SOURCE" $(ARGS)

test: setup-dev ## Run the tests; ARGS are handed to pytest
	$(BIN)/pytest $(ARGS)

check: setup-dev ## Check format, lint, types and who imports whom
	$(BIN)/ruff format --check
	$(BIN)/ruff check
	$(BIN)/mypy --strict $(CODE)
	$(BIN)/lint-imports

bench: setup-dev ## Measure speed: make bench BENCH=ingest
	$(BIN)/python bench/$(BENCH).py $(ARGS)

lock: setup-dev ## Resolve the dependencies anew into the lock files
	tools/lock

clean: ## Remove what was made here: .venv and caches
	rm -rf .venv .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

setup:
	@tools/bootstrap run

setup-dev:
	@tools/bootstrap dev
