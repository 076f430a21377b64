# Two commands on a fresh machine with Python 3.11+ and make: `make bench` and `make test`.
PYTHON ?= python3
VENV   ?= .venv
BIN    := $(VENV)/bin

.PHONY: bench test test-fast lint type format results docs notebook clean

# `make bench` installs what running needs, `make test` what testing needs, the rest what developing needs.
define install
	test -x "$(BIN)/python" || $(PYTHON) -m venv "$(VENV)"
	"$(BIN)/python" -m pip install --quiet --upgrade pip
	"$(BIN)/python" -m pip install --constraint constraints.txt --editable "$(1)"
endef

$(VENV)/.run: pyproject.toml constraints.txt
	$(call install,.)
	touch "$@"

$(VENV)/.test: pyproject.toml constraints.txt
	$(call install,.[test])
	touch "$(VENV)/.run" "$@"

$(VENV)/.dev: pyproject.toml constraints.txt
	$(call install,.[dev])
	touch "$(VENV)/.run" "$(VENV)/.test" "$@"

bench: $(VENV)/.run  ## the main job: train three models and print their table
	"$(BIN)/trm-bench" run --models trm,hrm,transformer --task maze-hard --device cpu

test: $(VENV)/.test  ## the whole test suite
	"$(BIN)/python" -m pytest -n 2

test-fast: $(VENV)/.test  ## the tests that take seconds
	"$(BIN)/python" -m pytest -n 2 -m "not slow"

lint: $(VENV)/.dev  ## style, format, spelling, and the words that users should not have to translate
	"$(BIN)/ruff" check .
	"$(BIN)/ruff" format --check .
	"$(BIN)/codespell"
	"$(BIN)/python" docs/words.py

# mypy finds a module by its path, so the package's folders are shown to it under the package's name.
PACKAGE := harness plugins testing trm hrm_baseline
TYPING  := build/typing/trm_bench
type: $(VENV)/.dev  ## types
	mkdir -p $(TYPING)
	cd $(TYPING) && ln -sfn $(addprefix ../../../,$(PACKAGE) $(wildcard trm_bench/*.py)) .
	bin="$$(cd "$(BIN)" && pwd)" && cd build/typing && MYPYPATH=. "$$bin/mypy" --config-file ../../pyproject.toml -p trm_bench

results: $(VENV)/.run  ## write results/README.md from the records beside it
	"$(BIN)/python" results/generate.py

docs: $(VENV)/.test  ## the documentation as a site, in build/docs
	"$(BIN)/sphinx-build" -W docs build/docs

notebook: $(VENV)/.dev  ## run docs/notebook.md and keep it as docs/notebook.ipynb
	PATH="$$(cd "$(BIN)" && pwd):$$PATH" jupytext --to ipynb --set-kernel python3 --execute docs/notebook.md

format: $(VENV)/.dev  ## rewrite what ruff can put right
	"$(BIN)/ruff" check --fix .
	"$(BIN)/ruff" format .

clean:
	rm -rf "$(VENV)" build dist *.egg-info
