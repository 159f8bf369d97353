# make demo [ARCH=lite-18], make test, make lint: each first does whatever set-up is missing in .venv.

PYTHON ?= python3
BIN := .venv/bin
INSTALLED := .venv/installed
PURELIB = $$($(BIN)/python -c 'import sysconfig; print(sysconfig.get_path("purelib"))')

.PHONY: install demo test test-all fuzz bench lint format clean

# Two things that would otherwise only show after minutes of compiling
define CHECK_PYTHON
import os, sys, sysconfig
v = sys.version_info[:2]
if not (3, 10) <= v <= (3, 13):
    sys.exit("Python 3.10 to 3.13 is needed, this is %d.%d; choose one with make PYTHON=python3.12" % v)
if not os.path.exists(os.path.join(sysconfig.get_path("include"), "Python.h")):
    sys.exit("Python.h is needed to build mmcv; on Debian or Ubuntu: apt install python3-dev python3-venv")
endef
export CHECK_PYTHON

# A compiler process takes up to 2 GB.
JOBS = $$(awk -v cores=$$(nproc) '/MemAvailable/ {n = int($$2 / 2e6); print (n < 1 ? 1 : n < cores ? n : cores)}' /proc/meminfo)

install: $(INSTALLED)

# mmcv has no wheel and is compiled: -g0 halves the time and shrinks it 30-fold.
$(INSTALLED): pyproject.toml hrnet_plugin/functional/heatmap_cpu.c
	@command -v c++ >/dev/null || { echo "A C++ compiler is needed to build mmcv; on Debian or Ubuntu: apt install g++"; exit 1; }
	@$(PYTHON) -c "$$CHECK_PYTHON"
	@echo "Installing PyTorch and OpenMMLab into .venv: about 7 minutes on two cores, 5 of them to compile mmcv"
	@test -x $(BIN)/uv || { $(PYTHON) -m venv .venv && $(BIN)/python -m pip install --quiet --disable-pip-version-check uv==0.13.9; }
	@# `mim` looks for a package beside its metadata, where an editable install has only a pointer:
	@# hence the link. It goes before installing, lest an installer write or delete through it.
	@test ! -L "$(PURELIB)/hrnet_plugin" || rm "$(PURELIB)/hrnet_plugin"
	@PYTHONPATH="$(CURDIR)/tools/install" CFLAGS="-g0 -O2" MAX_JOBS=$${MAX_JOBS:-$(JOBS)} $(BIN)/uv sync --quiet --python $(BIN)/python --reinstall-package hrnet-plugin
	@ln -s "$(CURDIR)/hrnet_plugin" "$(PURELIB)/hrnet_plugin"
	@$(BIN)/python -W ignore -c 'import hrnet_plugin; print("hrnet_plugin", hrnet_plugin.__version__, "is installed")'
	@touch $@

ARCH := w18-small-v1

demo: $(INSTALLED)
	$(BIN)/python demo/run.py --arch $(ARCH)

# One process a core, with one thread each. A file stays in one process, as its tests share what they set
# up; the longest comes first (tests/conftest.py).
PYTEST := OMP_NUM_THREADS=1 $(BIN)/python -m pytest --numprocesses auto --dist loadfile --no-loadscope-reorder

test: $(INSTALLED)
	$(PYTEST)

test-all: $(INSTALLED)
	$(PYTEST) -m ""

# Compares the evaluation with pycocotools' on random scenes, say: make fuzz SCENES=100000
SCENES ?= 10000
fuzz: $(INSTALLED)
	$(BIN)/python -W ignore tests/functional/fuzz_coco_eval.py --scenes $(SCENES)

bench: $(INSTALLED)
	$(BIN)/python benchmarks/run.py

lint: $(INSTALLED)
	$(BIN)/ruff format --check
	$(BIN)/ruff check
	$(BIN)/mypy

format: $(INSTALLED)
	$(BIN)/ruff format
	$(BIN)/ruff check --fix

clean:
	rm -rf .venv build dist *.egg-info work_dirs/demo* hrnet_plugin/functional/*.so
