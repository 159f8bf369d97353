# `make help` lists the targets; each first installs whatever is missing into .venv, and remembers how.

PYTHON ?= python3
# torchvision: nothing is compiled. compiled: mmcv and xtcocotools are, for operations that torchvision lacks.
OPS ?= $(if $(wildcard .venv/installed-compiled*),compiled,torchvision)
# all: MMSegmentation and MMPretrain, too. pose: without them.
TASKS ?= $(if $(wildcard .venv/installed-*pose),pose,all)
# cpu: PyTorch without CUDA, from PyTorch's own index. Empty: as the Python registry has it.
TORCH ?= $(if $(wildcard .venv/installed-*cpu*),cpu)
BIN := .venv/bin
INSTALLED := .venv/installed-$(OPS)$(TORCH)$(filter pose,$(TASKS))
PURELIB = $$($(BIN)/python -c 'import sysconfig; print(sysconfig.get_path("purelib"))')
SOURCES := pyproject.toml $(shell find packages -name pyproject.toml -o -path '*/src/*.py')

.PHONY: help install demo demo-tasks test test-all fuzz bench lint format docs release clean
.DEFAULT_GOAL := install

help:  ## List the targets; `make` alone installs
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "make %-10s %s\n", $$1, $$2}' $(MAKEFILE_LIST)
	@echo
	@echo "make OPS=compiled … compiles mmcv, make TORCH=cpu … installs PyTorch without CUDA,"
	@echo "make TASKS=pose … leaves out MMSegmentation and MMPretrain, which only configs of"
	@echo "segmentation and classification need (TASKS=all installs them, as at first),"
	@echo "make PYTHON=python3.12 … takes another Python."

define CHECK_PYTHON
import os, sys, sysconfig
v = sys.version_info[:2]
if not (3, 10) <= v <= (3, 13):
    sys.exit("Python 3.10 to 3.13 is needed, this is %d.%d; choose one with make PYTHON=python3.12" % v)
if sys.argv[1] == "compiled" and not os.path.exists(os.path.join(sysconfig.get_path("include"), "Python.h")):
    sys.exit("Python.h is needed to compile mmcv; on Debian or Ubuntu: apt install python3-dev python3-venv")
endef
export CHECK_PYTHON

# Beside a GPU that torch sees, mmcv compiles its CUDA sources, too, and stops without nvcc.
define CHECK_COMPILERS
command -v c++ >/dev/null || { echo "A C++ compiler is needed to compile mmcv; on Debian or Ubuntu: apt install g++"; exit 1; }
if [ -e /dev/nvidia0 ] && [ -n "$${CUDA_VISIBLE_DEVICES-all}" ]; then FORCE_CUDA=1; fi
if [ "$$FORCE_CUDA" = 1 ] && [ -z "$$CUDA_HOME" ] && ! command -v nvcc >/dev/null; then
  echo "mmcv is compiled for the GPU that is here: it needs nvcc of the CUDA version that torch was built for"
  echo "(torch 2.13.0: CUDA 13.0), on PATH or in CUDA_HOME. FORCE_CUDA=1 compiles for a GPU that is elsewhere;"
  echo "CUDA_VISIBLE_DEVICES= compiles for the CPU only, where detectors then have to run. Without OPS=compiled,"
  echo "operations are torchvision's, which run on the GPU."
  exit 1
fi
endef
export CHECK_COMPILERS

# A compiler process takes up to 2 GB.
JOBS = $$(awk -v cores=$$(nproc) '/MemAvailable/ {n = int($$2 / 2e6); print (n < 1 ? 1 : n < cores ? n : cores)}' /proc/meminfo)
# Debugging symbols off: half the time to compile, and a library a thirtieth of the size
COMPILE = PYTHONPATH="$(CURDIR)/tools/install" CFLAGS="-g0 -O2" MAX_JOBS=$${MAX_JOBS:-$(JOBS)}
UV = $(BIN)/uv
SYNC = $(UV) sync --quiet --python $(BIN)/python
ifeq ($(OPS),compiled)
  GROUPS := --no-group standins --group compiled
else ifeq ($(OPS),torchvision)
  GROUPS :=
  COMPILE =
else
  $(error OPS is $(OPS); expected torchvision or compiled)
endif
ifeq ($(TASKS),pose)
  GROUPS += --no-group tasks
else ifneq ($(TASKS),all)
  $(error TASKS is $(TASKS); expected all or pose)
endif
ifeq ($(TORCH),cpu)
  SYNC = $(UV) pip install --quiet --python $(BIN)/python --torch-backend cpu --group dev --editable .
  GROUPS := --group $(if $(filter compiled,$(OPS)),compiled,standins) $(if $(filter all,$(TASKS)),--group tasks)
else ifneq ($(TORCH),)
  $(error TORCH is $(TORCH); expected cpu, or nothing)
endif

install: $(INSTALLED)  ## Install PyTorch, OpenMMLab and the plugin into .venv

$(INSTALLED): $(SOURCES)
	@$(PYTHON) -c "$$CHECK_PYTHON" $(OPS)
	@test $(OPS) != compiled || sh -c "$$CHECK_COMPILERS"
	@echo "Installing PyTorch and OpenMMLab into .venv: a download of 3 GB, then $(if $(filter compiled,$(OPS)),five minutes to compile mmcv,half a minute)"
	@test -x $(UV) || { $(PYTHON) -m venv .venv && $(BIN)/python -m pip install --quiet --disable-pip-version-check uv==0.13.9; }
	@# `mim` looks for a package beside its metadata, where an editable install has only a pointer:
	@# hence the link. It goes before installing, lest an installer write or delete through it.
	@test ! -L "$(PURELIB)/hrnet_plugin" || rm "$(PURELIB)/hrnet_plugin"
	@rm -rf .venv/installed-* packages/*/build
	@$(COMPILE) $(SYNC) $(GROUPS) --reinstall-package hrnet-plugin
	@ln -s "$(CURDIR)/hrnet_plugin" "$(PURELIB)/hrnet_plugin"
	@# Importing compiles to bytecode what commands need: a quarter of all modules, on two cores at once.
	@for modules in 'torch, mmpose.apis, mmdet.apis' 'scipy.stats, sympy, matplotlib.pyplot, cv2'; do \
	  env -u PYTHONDONTWRITEBYTECODE $(BIN)/python -W ignore -c "import $$modules" & \
	done; wait
	@$(BIN)/python -W ignore -c 'import hrnet_plugin; print("hrnet_plugin", hrnet_plugin.__version__, "is installed")'
	@touch $@

ARCH := w18-small-v1

demo: $(INSTALLED)  ## Train a detector and a pose model on synthetic people, evaluate, draw
	$(BIN)/python demo/run.py --arch $(ARCH)

# Say: make demo-tasks DEMOS=detection
DEMOS :=
demo-tasks: $(INSTALLED)  ## Segment, detect and classify with the same backbone, on synthetic people
	$(BIN)/python demo/tasks.py $(DEMOS)

# One process a core, with one thread each. A file stays in one process, as its tests share what they set
# up; the longest comes first (tests/conftest.py).
PYTEST := OMP_NUM_THREADS=1 $(BIN)/python -m pytest --numprocesses auto --dist loadfile --no-loadscope-reorder

test: $(INSTALLED)  ## Run the tests, with their coverage of the package
	$(PYTEST) --cov --cov-report=

test-all: $(INSTALLED)  ## Run the slow tests, too
	$(PYTEST) -m ""

# Say: make fuzz SCENES=100000 MUTATIONS=10000
SCENES ?= 10000
MUTATIONS ?= 1000
fuzz: $(INSTALLED)  ## Random scenes against pycocotools, and damaged files for each command
	PYTHONPATH=tests $(BIN)/python -W ignore -m support.fuzz_coco --scenes $(SCENES)
	PYTHONPATH=tests $(BIN)/python -W ignore -m support.fuzz_readers --mutations $(MUTATIONS)

bench: $(INSTALLED)  ## Compare speed with stock, into benchmarks/results.md
	$(BIN)/python benchmarks/run.py

lint: $(INSTALLED)  ## Check format, style and types
	$(BIN)/ruff format --check
	$(BIN)/ruff check
	$(BIN)/mypy
	@# Apart: benchmarks/run.py and demo/run.py are modules of one name,
	$(BIN)/mypy benchmarks
	@# and beside `packages/*/src`, the folder mmcv there would be taken for mmcv itself.
	$(BIN)/mypy packages/*/src/mmcv_torchvision packages/*/src/xtcocotools

format: $(INSTALLED)  ## Format the code
	$(BIN)/ruff format
	$(BIN)/ruff check --fix

# Warnings are errors: a broken link, a page without a place, an unknown name of ours.
docs: $(INSTALLED)  ## Build the documentation into site/
	rm -rf site
	OMP_NUM_THREADS=1 $(BIN)/python -W ignore -m sphinx --builder html --fail-on-warning --keep-going --quiet --jobs auto docs site
	@PYTHONPATH=tests $(BIN)/python -m support.doc_blocks
	@echo "The site begins with site/index.html"

# `python -m build` takes a fresh environment for each build; tools/release/check.py refuses what is not ready.
release: $(INSTALLED)  ## Build, check and test the wheel and the source distribution of a release
	$(BIN)/python tools/release/check.py
	$(UV) pip install --quiet --python $(BIN)/python --group release
	rm -rf dist build
	$(BIN)/python -m build --outdir dist .
	$(BIN)/python -m twine check --strict dist/*
	HRNET_PLUGIN_WHEEL=$$(echo dist/*.whl) $(BIN)/python -m pytest -m "" tests/test_wheel.py
	@echo "dist/ is ready: tag it and upload it, as CONTRIBUTING.md says"

clean:  ## Remove .venv, builds, the site and the demo
	rm -rf .venv build dist site *.egg-info packages/*/build packages/*/src/*.egg-info work_dirs/demo*
