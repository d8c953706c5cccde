# Copyright (c) 2026 xensec.hardening maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# The one that takes longest first, so that it is not what the others' end waits for.
SCENARIOS := $(sort $(patsubst molecule/%/molecule.yml,%,$(wildcard molecule/*/molecule.yml)))
LONGEST := real_xen
# Most of an hour by itself: make real-xen.
BY_HAND := real_xen_all
INVENTORY ?=
JOBS ?= 2
export PATH := $(CURDIR)/.venv/bin:$(PATH)

.DEFAULT_GOAL := help
.PHONY: help harden audit restore test quick lint sanity unit matrix docs galaxy molecule real-xen bench $(SCENARIOS:%=molecule-%) setup clean

help: ## List the targets
	@echo "xensec.hardening: secures Dom0 of every node of a Xen cluster"
	@sed -n 's/^\([a-z][a-z%-]*\):[^#]*## \(.*\)/  make \1|\2/p' Makefile | column -t -s '|' 2>/dev/null || \
	  sed -n 's/^\([a-z][a-z%-]*\):[^#]*## \(.*\)/  make \1: \2/p' Makefile
	@echo "  scenarios: $(SCENARIOS)"

harden: ## Harden the embedded cluster, or your own with INVENTORY=path
	@tools/harden harden $(INVENTORY)

audit: ## Say what holds and who can reach whose relocation port, changing nothing (INVENTORY=path for your own cluster)
	@tools/harden audit $(INVENTORY)

restore: ## Give every machine back as it was before make harden (INVENTORY=path for your own cluster)
	@tools/harden restore $(INVENTORY)

test: setup ## Run every check: lint, sanity, unit tests, docs, Galaxy, all Molecule scenarios (about an hour)
	@$(MAKE) --no-print-directory --jobs=$(JOBS) --output-sync=target \
	  $(LONGEST:%=molecule-%) sanity lint unit docs galaxy $(patsubst %,molecule-%,$(filter-out $(LONGEST) $(BY_HAND),$(SCENARIOS)))
	@echo "test: lint, sanity, unit tests, docs, Galaxy's checks and $(words $(filter-out $(BY_HAND),$(SCENARIOS))) Molecule scenarios passed; not run: $(BY_HAND)"

quick: setup ## The inner loop: style and unit tests, no lab (two minutes)
	@ruff check . && ruff format --check . && pytest

lint: setup ## ansible-lint (production profile), yamllint, ruff, mypy
	@nox -s lint

sanity: setup ## ansible-test sanity, by each ansible-core
	@nox -s sanity

unit: setup ## Unit tests, on this Python, and on those of old hosts and other ansible-cores where they are installed
	@nox -s unit unit_hosts unit_cores

matrix: export XENSEC_CORES := all
matrix: setup molecule-matrix ## Every platform by every ansible-core, and all sanity and unit tests by each core
	@nox -s sanity unit_cores -- all

docs: ## The documentation as a site to read without a server, in .cache/docs/html, and its tests
	@tools/setup && nox -s docs

galaxy: setup ## What Galaxy would say to the collection as it is built
	@nox -s galaxy

real-xen: molecule-real_xen_all ## Move a guest between two machines that run Xen, in all scenarios (XEN_SUITE=bullseye, bookworm or trixie)

molecule: setup ## All Molecule scenarios
	@$(MAKE) --no-print-directory --jobs=$(JOBS) --output-sync=target $(SCENARIOS:%=molecule-%)

$(SCENARIOS:%=molecule-%): molecule-%: setup
	@molecule test --no-command-borders --scenario-name $*

bench: setup ## Measure what packet filters, runs and reports cost, as ratios, and draw it into docs/images (most of an hour, needs root)
	@python tests/benchmarks/firewall.py
	@python tests/benchmarks/audit_report.py
	@python tests/benchmarks/harden.py
	@python tests/benchmarks/growth.py
	@python tests/benchmarks/simulated.py

setup: ## Install what the tests need, Debian packages where allowed, and .venv
	@tools/setup lab xen tests

clean: ## Remove the lab's machines, networks and images, .venv and caches
	@if [ -x .venv/bin/python ] && command -v podman >/dev/null; then \
	  for name in $(LONGEST) real_xen_all; do [ ! -e .lab/$$name ] || \
	    $$([ "$$(id -u)" = 0 ] || echo sudo) .venv/bin/python molecule/shared/lab/xen.py down $$name; done; \
	  $$([ "$$(id -u)" = 0 ] || echo sudo) .venv/bin/python molecule/shared/lab/lab.py clean; fi
	rm -rf .lab .venv .cache .nox .hypothesis .ansible
