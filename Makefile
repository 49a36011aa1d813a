# `make` alone lists what can be done here. Every command sets up .venv first, which is instant the second time.

.DEFAULT_GOAL := help
.PHONY: help run test lab smoke check bench chaos lock wheelhouse images clean setup setup-dev setup-lab setup-smoke

# The repository to read: a path, a git URL or owner/name.
REPO := $(CURDIR)
# Further arguments: for sparky run, pytest, a measurement, or uv pip compile.
ARGS :=
# The measurements to run.
BENCH := ingest run

# What images are made for, and of; empty takes the default of the Dockerfile.
ARCH := $(if $(filter aarch64 arm64,$(shell uname -m)),arm64,amd64)
VERSION := 0.1.0
SPARKY_IMAGE := sparky:$(VERSION)
TRTLLM_IMAGE := sparky-trtllm:$(VERSION)
BASE :=
TRTLLM_BASE :=

BIN := .venv/bin
WHEELHOUSE := build/wheelhouse/$(ARCH)
# Each tag that a wheel for Debian 12 may have.
MACHINE := $(if $(filter arm64,$(ARCH)),aarch64,x86_64)
TAGS := manylinux1 manylinux2010 manylinux2014 $(addprefix manylinux_2_,5 12 17 24 26 27 28 31 34 35 36)
PLATFORMS := $(foreach tag,$(TAGS),--platform $(tag)_$(MACHINE))
CODE := $(wildcard sparky swarm)
COMPILE := $(BIN)/uv pip compile --quiet --universal --python-version 3.11 --only-binary :all: --generate-hashes \
	--no-header --no-annotate --no-emit-index-url

help: ## List these commands
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-10s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

run: setup ## Print the digest of a repository: make run REPO=<path or URL> ARGS="--since 30d"
run: export SOURCE := $(value REPO)
run:
	@$(BIN)/sparky run $(ARGS) -- "$$SOURCE"

# Tests that start Docker Engines, one set at a time, come after the others, alone.
STACK_TESTS := tests/swarm
# Three nodes want the machine without the one of the others.
NODES_TESTS := tests/swarm/test_nodes.py
# One more than the two processors of a small machine, as tests also wait.
TOGETHER := --numprocesses 3 --dist loadfile
ENGINES := --timeout 1200 --durations 20

test: $(if $(ARGS),$(if $(findstring $(STACK_TESTS),$(ARGS)),setup-lab,setup-dev),setup-smoke)
test: ## Run the tests: make test ARGS="tests/unit -k chunks"
ifeq ($(strip $(ARGS)),)
	$(BIN)/pytest $(TOGETHER) --ignore $(STACK_TESTS)
	$(BIN)/python -m tests.smoke
	$(MAKE) --no-print-directory lab
else
	$(BIN)/pytest $(if $(findstring $(STACK_TESTS),$(ARGS)),,$(TOGETHER)) $(ARGS)
endif

lab: setup-lab ## Run the tests of the deployment alone, most of them on Docker Engines; as root
	$(BIN)/pytest $(STACK_TESTS) $(ENGINES) --ignore $(NODES_TESTS)
	$(BIN)/pytest $(NODES_TESTS) $(ENGINES)

smoke: setup-smoke ## Test Sparky's image as a worker under pytest-celery, on a Docker Engine; as root
	$(BIN)/python -m tests.smoke $(ARGS)

check: setup-dev ## Check format, lint, types and who imports whom
	$(BIN)/ruff format --check
	$(BIN)/ruff check
	$(BIN)/mypy $(CODE)
	$(BIN)/lint-imports --no-logo

bench: setup-dev ## Measure speed or quality: make bench BENCH=ingest
	@for name in $(BENCH); do $(BIN)/python -m bench.$$name $(ARGS) || exit; done

chaos: setup-dev ## Run 1000 repositories in a storm of faults: make chaos ARGS="--repositories 200"
	$(BIN)/python -m tests.faults.storm $(ARGS)

lock: setup-dev ## Write the lock files from pyproject.toml; ARGS=--upgrade takes the newest versions
	$(COMPILE) pyproject.toml --extra traces --group build --output-file requirements.txt $(ARGS)
	$(COMPILE) pyproject.toml --extra traces --group build --group dev --constraint requirements.txt --output-file requirements-dev.txt $(ARGS)
	$(COMPILE) --group smoke --constraint requirements-dev.txt --output-file requirements-smoke.txt $(ARGS)

wheelhouse: setup-dev ## Fetch the packages that the image is built from: make wheelhouse ARCH=arm64
	@mkdir -p $(WHEELHOUSE)
	@rm -f $(WHEELHOUSE)/sparky-*.whl
	@# Also what only a Python older than this one needs.
	@sed "s/ ; python_full_version < '[0-9.]*'//" requirements.txt >$(WHEELHOUSE)/wanted.txt
	@# What is there for this lock is not asked for again.
	@cmp -s $(WHEELHOUSE)/wanted.txt $(WHEELHOUSE)/requirements.txt || { \
		$(BIN)/python -m pip download --quiet --no-deps --only-binary :all: --require-hashes --exists-action i \
			--python-version 3.11 --implementation cp $(PLATFORMS) --requirement $(WHEELHOUSE)/wanted.txt --dest $(WHEELHOUSE) \
		&& cp $(WHEELHOUSE)/wanted.txt $(WHEELHOUSE)/requirements.txt; }
	$(BIN)/python -m pip wheel --quiet --no-deps --no-build-isolation --wheel-dir $(WHEELHOUSE) .

images: wheelhouse ## Build the images; BASE=<image> and TRTLLM_BASE=<image> replace what they stand on
	docker build --file swarm/Dockerfile --tag $(SPARKY_IMAGE) --build-arg TARGETARCH=$(ARCH) \
		$(if $(BASE),--build-arg BASE=$(BASE)) .
	docker build --file swarm/trtllm/Dockerfile --tag $(TRTLLM_IMAGE) \
		$(if $(TRTLLM_BASE),--build-arg BASE=$(TRTLLM_BASE)) .

clean: ## Remove .venv and the caches
	rm -rf .venv .venv-smoke .hypothesis .import_linter_cache .mypy_cache .pytest_cache .ruff_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

setup:
	@tools/bootstrap run

setup-dev:
	@tools/bootstrap dev

setup-lab:
	@tools/bootstrap lab

setup-smoke:
	@tools/bootstrap smoke
