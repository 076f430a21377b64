# Two commands on a fresh machine with Python 3.11+ and make: `make bench` and `make test`.
PYTHON ?= python3
VENV   ?= .venv
BIN    := $(VENV)/bin
STAMP  := $(VENV)/.installed

.PHONY: bench test lint type format results docs clean

$(STAMP): pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --upgrade pip
	$(BIN)/python -m pip install --constraint constraints.txt --editable ".[dev]"
	touch $(STAMP)

bench: $(STAMP)  ## the main job: train three models and print their table
	$(BIN)/trm-bench run --models trm,hrm,transformer --task maze-hard

test: $(STAMP)  ## the whole test suite
	$(BIN)/python -m pytest -n 2

lint: $(STAMP)  ## style and format
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

# mypy finds a module by its path, so the package's folders are shown to it under the package's name.
PACKAGE := harness plugins testing trm hrm_baseline
type: $(STAMP)  ## types
	mkdir -p build/typing/trm_bench
	ln -sfn $(addprefix $(CURDIR)/,$(PACKAGE)) $(CURDIR)/trm_bench/*.py build/typing/trm_bench/
	cd build/typing && MYPYPATH=. $(abspath $(BIN))/mypy --config-file ../../pyproject.toml -p trm_bench

results: $(STAMP)  ## write results/README.md from the records beside it
	$(BIN)/python results/generate.py

docs: $(STAMP)  ## the documentation as a site, in build/docs
	$(BIN)/sphinx-build -W docs build/docs

format: $(STAMP)  ## rewrite what ruff can put right
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

clean:
	rm -rf $(VENV) build dist *.egg-info
