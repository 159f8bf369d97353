# make demo, make test, make lint: each first does whatever set-up is missing in .venv.

PYTHON ?= python3
BIN := .venv/bin
INSTALLED := .venv/installed
WORK_DIR ?= work_dirs/demo

.PHONY: install demo test test-all lint format clean

install: $(INSTALLED)

# mmcv has no wheel and is compiled: -g0 halves the time and shrinks it 30-fold.
$(INSTALLED): pyproject.toml
	@command -v c++ >/dev/null || { echo "A C++ compiler is needed to build mmcv; on Debian or Ubuntu: apt install g++"; exit 1; }
	@$(PYTHON) -c 'import sys; v = sys.version_info[:2]; sys.exit(not (3, 10) <= v <= (3, 13) and f"Python 3.10 to 3.13 is needed, this is {v[0]}.{v[1]}; choose one with make PYTHON=python3.12")'
	@echo "Installing PyTorch and OpenMMLab into .venv: about 7 minutes on two cores, 5 of them to compile mmcv"
	@test -x $(BIN)/uv || { $(PYTHON) -m venv .venv && $(BIN)/python -m pip install --quiet --disable-pip-version-check uv==0.13.9; }
	CFLAGS="-g0 -O2" MAX_JOBS=$${MAX_JOBS:-$$(nproc)} $(BIN)/uv sync --quiet --python $(BIN)/python
	@# `mim` looks for a package beside its metadata, where an editable install has only a pointer.
	@ln -sfn "$(CURDIR)/hrnet_plugin" "$$($(BIN)/python -c 'import sysconfig; print(sysconfig.get_path("purelib"))')/hrnet_plugin"
	@$(BIN)/python -W ignore -c 'import hrnet_plugin; print("hrnet_plugin", hrnet_plugin.__version__, "is installed")'
	@touch $@

demo: $(INSTALLED)
	$(BIN)/python -m hrnet_plugin.demo

test: $(INSTALLED)
	$(BIN)/python -m pytest

test-all: $(INSTALLED)
	$(BIN)/python -m pytest -m ""

lint: $(INSTALLED)
	$(BIN)/ruff format --check
	$(BIN)/ruff check
	$(BIN)/mypy

format: $(INSTALLED)
	$(BIN)/ruff format
	$(BIN)/ruff check --fix

clean:
	rm -rf .venv build dist *.egg-info work_dirs/demo
