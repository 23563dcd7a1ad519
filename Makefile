# Trellis. `make run` is all that a new user needs: Debian, git, make and Python 3.11 or newer with venv.

# Debian's own is asked first: it is built with profile-guided optimisation, which is worth a sixth of the time.
FIT = import ensurepip, sys, venv; sys.exit(sys.version_info < (3, 11))
PYTHON ?= $(firstword $(shell for each in /usr/bin/python3 python3 python3.13 python3.12 python3.11; do \
	$$each -c '$(FIT)' 2>/dev/null && echo $$each; done) python3)
BIN := .venv/bin
INSTALLED := .venv/installed
PROJECTS := $(wildcard libs/*/pyproject.toml services/*/pyproject.toml)
LOCK := $(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-header --no-annotate
MAKEFLAGS += --no-print-directory

.DEFAULT_GOAL := help
.PHONY: help install run test test-parts test-rules fuzz faults check bench events lock clean-data

help: ## what there is to make
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-11s %s\n", $$1, $$2 }' Makefile

install: $(INSTALLED) ## put everything into .venv, where .venv/bin/trellis then is

run: install ## start PostgreSQL, all services and a made-up district; Ctrl-C stops
	@exec $(BIN)/trellis demo

RULES := tests/*/test_rules*.py
# The files that take longest begin, so that no process is left with one of them alone at the end.
LONGEST := tests/trial/ tests/e2e/ tests/surveys/
IN_ORDER := $(LONGEST) $(filter-out $(LONGEST),$(wildcard tests/*/))

test: install ## every test but the fault tests
	@$(MAKE) --jobs 2 test-parts test-rules

test-parts:
	@MAKEFLAGS= $(BIN)/pytest -m 'not faults' --ignore-glob='$(RULES)' -n 3 --dist loadfile --no-loadscope-reorder $(IN_ORDER)

# Rules only compute: they take the time in which the parts wait for a clock, a disk or a process, and speak at the end.
test-rules:
	@said=$$($(BIN)/pytest -q $(RULES) --timeout 600 --cov --cov-report= 2>&1) || { echo "$$said"; exit 1; }; echo "$$said"
	@$(BIN)/coverage report --include='services/*/*/rules.py,services/*/*/rules/*' --fail-under=100

fuzz: install ## ask every route what nobody thought of, for an hour; SEED=… begins where a failure was
	TRELLIS_FUZZ_SECONDS=3600 TRELLIS_FUZZ_SEED=$(or $(SEED),$(shell date +%s)) $(BIN)/pytest -n 0 --timeout 0 tests/fuzz

faults: install ## kill, freeze and cut parts of a running system, then check what must never happen
	$(BIN)/pytest -m faults tests/faults

# Digests of texts and of a downloaded file, and names of Kubernetes objects: none of them opens anything.
NO_SECRET := --exclude-lines 'sha256 = |SHA256 = |secretName:'

check: install ## style, types, who may import whom, locks without addresses or known vulnerabilities, no secret in any file
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/lint-imports
	@! grep -n '://' requirements*.lock
	$(BIN)/python -m tests.advisories requirements*.lock
	@git ls-files -z | grep -zvE '\.lock$$|^docs/events/' | xargs -0 -n 200 -P 2 $(BIN)/detect-secrets-hook --no-verify $(NO_SECRET)

bench: install ## ratios measured side by side, one JSON object a line
	@for file in bench/*.py; do PYTHONPATH=. $(BIN)/python "$$file" || exit; done

events: install ## write the contracts in docs/events and docs/policies from the code
	$(BIN)/python -m common.events.asyncapi docs/events
	$(BIN)/trellis policies schema > docs/policies/tier-policy.v1.json

lock: install ## write requirements*.lock from requirements*.in
	$(LOCK) requirements-install.in -o requirements-install.lock
	$(LOCK) requirements.in -o requirements.lock
	$(LOCK) requirements-dev.in -o requirements-dev.lock

clean-data: ## stop the embedded PostgreSQL and forget the made-up district
	@test ! -d var || ! test -x $(BIN)/python || $(BIN)/python -m common.embedded stop var
	rm -rf var

$(INSTALLED): requirements-install.lock requirements-dev.lock $(PROJECTS)
	@$(PYTHON) -c '$(FIT)' 2>/dev/null || \
		{ echo 'Trellis needs Python 3.11 or newer with venv: apt-get install python3 python3-venv'; exit 1; }
	@umask 022 && $(BIN)/python -c '' 2>/dev/null || $(PYTHON) -m venv --clear .venv
	@umask 022 && $(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements-install.lock
	@umask 022 && $(BIN)/uv pip sync --quiet --compile-bytecode --require-hashes requirements-dev.lock
	@umask 022 && $(BIN)/uv pip install --quiet --no-deps --no-build-isolation $(PROJECTS:%/pyproject.toml=-e %)
	@touch $@
