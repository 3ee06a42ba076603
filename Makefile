# The front door. Every target prepares what it needs: on a new machine `make demo` and `make test` are
# the first commands. Scratch files go to .build/ and results to dist/; build/ is source.

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
MAKEFLAGS += --no-builtin-rules

VENV := .venv/bin/python
PYTEST := $(VENV) -m pytest
# Tests run side by side, a module or class at a time. Those of the kernel bring their own namespaces.
PARALLEL ?= --numprocesses 2 --dist loadscope

PACKAGE := mesos_cni_port_mapper
PLUGIN := dist/plugins/mesos-cni-port-mapper
ONE_FILE := dist/onefile/mesos-cni-port-mapper
TOOL := dist/bin/mesos-cni
DELEGATES := dist/plugins/.mesos-cni-delegates/mesos-cni-delegate
LIBIPTC := dist/plugins/.mesos-cni-libiptc/mesos-cni-libiptc
GATES := dist/gates/nothing dist/gates/loaded-modules
PACKAGES := dist/package/SHA256SUMS
# Whom a package of Debian or Red Hat names, and has to name.
MAINTAINER ?= mesos-cni-port-mapper <root@localhost>
VERSION = $(shell sed -n 's/^__version__ = "\(.*\)"/\1/p' $(PACKAGE)/__init__.py)

# What a frozen program is made of. Nothing else may make it be frozen again.
SOURCES := $(shell find $(PACKAGE) delegates -name '*.py') build/pyinstaller.spec build/merged.py requirements.lock
# What a package is made of besides.
PACKAGED := $(wildcard packaging/*.py packaging/*/*) CHANGELOG.md LICENSE README.md pyproject.toml
CHECKED := $(wildcard $(PACKAGE) delegates tests bench packaging build/gates build/merged.py)

.PHONY: help
help: ## say what can be made
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/\1\t\2/p' $(MAKEFILE_LIST) | expand --tabs=16

.PHONY: setup
setup: ## Debian packages (as root) and .venv, as requirements.lock has it
	@build/setup.sh

.PHONY: lock
lock: setup ## resolve the dependencies of pyproject.toml anew
	build/lock.sh

.PHONY: build
build: $(PLUGIN) $(DELEGATES) $(LIBIPTC) $(ONE_FILE) $(TOOL) ## the programs, frozen: plugins, delegates, libiptc, onefile, bin

.PHONY: gates
gates: $(GATES) ## programs that only tests and benchmarks run: dist/gates

# Always from nothing, a matter of seconds: what it finds in its cache, PyInstaller does not check again.
# Modules are stored, not compressed, and without the columns that tracebacks underline: inflating
# those of mesos-cni would take a tenth of its start, reading the columns a fiftieth of an ADD's time.
FREEZE = PYINSTALLER_CONFIG_DIR=.build/$(1)-cache PYINSTALLER_ZLIB_COMPRESSION_LEVEL=0 \
	PYTHONNODEBUGRANGES=1 $(VENV) -m PyInstaller --clean --noconfirm \
	--log-level ERROR --distpath dist --workpath .build/$(1) build/pyinstaller.spec

$(PLUGIN) $(DELEGATES) $(LIBIPTC) $(ONE_FILE) $(TOOL) &: $(SOURCES) | setup
	$(call FREEZE,plugins)
	@touch $(PLUGIN) $(DELEGATES) $(LIBIPTC) $(ONE_FILE) $(TOOL)

$(GATES) &: $(SOURCES) $(wildcard build/gates/*.py) | setup
	$(call FREEZE,gates) -- --gates
	@touch $(GATES)

.PHONY: demo
demo: setup build ## see it work, on a machine with nothing set up
	$(VENV) packaging/demo.py

.PHONY: test
test: setup build gates package ## every test
	$(PYTEST) $(PARALLEL)

.PHONY: test-unit
test-unit: setup ## the tests that need neither root nor a frozen program
	$(PYTEST) tests/unit

.PHONY: test-netns
test-netns: setup ## the tests with a real kernel; in a user namespace when not root
	$(if $(filter 0,$(shell id -u)),,unshare --user --map-root-user --net --mount) $(PYTEST) $(PARALLEL) tests/netns

.PHONY: test-binary
test-binary: setup build gates ## the tests of the frozen programs
	$(PYTEST) $(PARALLEL) tests/binary

.PHONY: test-packages
test-packages: setup package ## the tests that install, use and remove each package
	$(PYTEST) $(PARALLEL) tests/packages

.PHONY: check
check: setup ## format, lint, types, architecture
	$(VENV) -m ruff format --check
	$(VENV) -m ruff check
	$(VENV) -m mypy --strict $(CHECKED)
	$(PYTEST) tests/test_architecture.py

.PHONY: bench
bench: setup build gates ## measure against the plugins of the field, and draw docs/scale.svg
	$(VENV) -m bench --plot docs/scale.svg

# Owners, order and times are fixed, so that the same programs make the same archives.
$(PACKAGES): $(PLUGIN) $(DELEGATES) $(TOOL) $(PACKAGED) | setup
	rm -rf dist/package
	$(VENV) -m hatchling build --target wheel --directory dist/package
	tar --create --gzip --file dist/package/mesos-cni-port-mapper-$(VERSION)-linux-$(shell uname -m).tar.gz \
		--directory dist/plugins --sort name --owner 0 --group 0 --numeric-owner --mtime @0 .
	rm -rf dist/man && PYTHONPATH=. $(VENV) packaging/man.py dist/man
	$(VENV) packaging/system_packages.py --version $(VERSION) --maintainer '$(MAINTAINER)' \
		--into dist/package
	cd dist/package && sha256sum -- *.whl *.tar.gz $$(find . -name '*.deb' -o -name '*.rpm') >SHA256SUMS

.PHONY: package
package: setup $(PACKAGES) ## wheel, archive for a plugins directory, Debian's and Red Hat's: dist/package

.PHONY: man
man: setup ## the manual pages of mesos-cni, from what makes its --help: dist/man
	PYTHONPATH=. $(VENV) packaging/man.py dist/man

.PHONY: reference
reference: setup ## write the commands of mesos-cni into docs/reference.md anew
	PYTHONPATH=. $(VENV) packaging/cli_reference.py docs/reference.md

.PHONY: clean
clean: ## remove everything that was made, .venv included
	rm -rf .build .hypothesis .venv dist
	find . -name __pycache__ -prune -exec rm -rf {} +
