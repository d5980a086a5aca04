# The first commands of a newcomer are `make run` and `make test`; `make help` lists the rest.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
# Of two installs, the editable one in compat mode lets twistd find its plugins from every folder.
INSTALL := $(BIN)/pip install --quiet --disable-pip-version-check --config-settings editable_mode=compat

.PHONY: run test test-install chaos fuzz check options bench bench-leg bench-web bench-stalled bench-idle bench-setup bench-zone bench-renewals bench-takeover bench-reconnect bench-entry bench-relayed bench-regions help clean

run: $(VENV)/.run  ## start the whole service on loopback; Ctrl-C stops it
	@exec $(BIN)/twistd --nodaemon --pidfile= --logfile=var/log/pinggy.log pinggy

test: $(VENV)/.test  ## install what the tests need, then run them
	@tests/support/install-programs
ifdef PYTEST_ARGS
	$(BIN)/python -m pytest $(PYTEST_ARGS)
else
	@tests/support/run-tests $(BIN)/python
endif

test-install:  ## from a clone to a page behind the pasted lines, timed; WHEEL=1: no PostgreSQL but the wheel's
	@tests/support/install-from-clone

SEED ?= 1
MINUTES ?= 60
chaos: $(VENV)/.test  ## break a deployment of three regions by SEED for MINUTES, and prove what must hold
	@tests/support/install-programs
	$(BIN)/python -m tests.system.regions --seed $(SEED) --minutes $(MINUTES)

fuzz: $(VENV)/.test  ## visitors' bytes spoilt by chance, judged by a strict reader: for MINUTES, from SEED on if it is given
	$(BIN)/python -m tests.fuzz --minutes $(MINUTES) $(if $(filter command line environment,$(origin SEED)),--seed $(SEED))

check: $(VENV)/.check  ## style, types, and that imports point down only
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-cache

options: $(VENV)/.test  ## write docs/options.rst from the grammar of the arguments
	$(BIN)/python -m pinggy.tunnel.options_page > docs/options.rst

BENCH_ARGS ?=
bench: bench-leg bench-web  ## both of the next, all parts

bench-leg: $(VENV)/.test  ## the SSH leg beside sshd, Conch and asyncssh, in one table (BENCH_ARGS="--only requests --rounds 1")
	$(BIN)/python -m benchmarks.leg $(BENCH_ARGS)

bench-web: $(VENV)/.test  ## what visitors of HTTP meet, beside raw tunnels, ours and sshd's (BENCH_ARGS="--only bodies --rounds 1")
	$(BIN)/python -m benchmarks.web $(BENCH_ARGS)

bench-stalled: $(VENV)/.test  ## memory of visitors who stop reading in the middle of a download
	$(BIN)/python -m benchmarks.stalled_visitor

bench-idle: $(VENV)/.test  ## 10,000 visitors who do nothing: memory of each, and what others notice
	$(BIN)/python -m benchmarks.idle_visitors

bench-zone: $(VENV)/.test  ## changes of the zone a second through one zone gate, 20,000 names in it
	$(BIN)/python -m benchmarks.zone_changes

bench-setup: $(VENV)/.test  ## how long and how many: tunnels from TCP connect to URL, through all the daemons
	$(BIN)/python -m benchmarks.setup

bench-renewals: $(VENV)/.test  ## what 10,000 tunnels cost one core that renews them
	$(BIN)/python -m benchmarks.renewals

bench-takeover: $(VENV)/.test  ## how long until a name that an older tunnel has is live at another edge
	$(BIN)/python -m benchmarks.takeover

bench-reconnect: $(VENV)/.test  ## 1,000 clients lose their edge and come back at another, all at once
	$(BIN)/python -m benchmarks.reconnect

bench-entry: $(VENV)/.test  ## how long a dead edge stays in the answers for the nearest one
	$(BIN)/python -m benchmarks.nearest_edge

bench-relayed: $(VENV)/.test  ## what it adds that a visitor comes to another edge than the one that has the tunnel
	$(BIN)/python -m benchmarks.relayed

bench-regions: $(VENV)/.test  ## moves, dead edges and clients, an absent core: in network namespaces, as visitors notice them
	@tests/support/install-programs
	$(BIN)/python -m benchmarks.regions

help:  ## this list
	@sed -nE 's/^([a-z-]+):[^#]*## (.*)/  make \1\t\2/p' $(MAKEFILE_LIST) | expand -t 18

clean:  ## away with the virtual environment and all state
	rm -rf $(VENV) var build

$(BIN)/pip:
	$(PYTHON) -c 'import sys; sys.exit("pinggy needs Python 3.11 or newer, this is " + sys.version.split()[0]) if sys.version_info < (3, 11) else None'
	$(PYTHON) -m venv $(VENV)

$(VENV)/.run: setup.cfg | $(BIN)/pip
	@echo "Installing pinggy into $(VENV) (once) ..."
	@$(INSTALL) --editable '.[embedded]'
	@mkdir -p var/log
	@touch $@

$(VENV)/.test: setup.cfg | $(BIN)/pip
	@$(INSTALL) --editable '.[embedded,test]'
	@touch $@

$(VENV)/.check: setup.cfg | $(BIN)/pip
	@$(INSTALL) --editable '.[embedded,test,check]'
	@touch $@
