# Soft Optimality: read it with `make book`, check it with `make test`.  Needs Python >= 3.11, make and git.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
SITE := _build/html
PIP := $(BIN)/python -m pip install -qq --disable-pip-version-check

# Notebooks are stored and checked without live widgets, and without a display.
export SOFT_OPTIMALITY_STATIC := 1
export PYTHONHASHSEED := 0

.PHONY: help book html serve test lint notebooks assignments grade worker clean
.DEFAULT_GOAL := help

help:  ## list the targets
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  make %-10s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

# Each environment is a stamp: made again when what it is made from changes.
$(VENV)/book.stamp: requirements.txt requirements-katex.txt pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed; try: make PYTHON=python3.12")'
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@echo "Installing the book's environment in $(VENV) (once; a few minutes)"
	$(PIP) -r requirements.txt
	$(PIP) --no-deps -r requirements-katex.txt
	@touch $@

$(VENV)/teaching.stamp: $(VENV)/book.stamp requirements-teaching.txt
	$(PIP) -r requirements-teaching.txt
	@touch $@

$(VENV)/test.stamp: $(VENV)/teaching.stamp requirements-test.txt
	$(PIP) -r requirements-test.txt
	@touch $@

# The whole site is built anew: a page that Sphinx found up to date would not repeat its warnings, which are errors here.
html: $(VENV)/book.stamp  ## build the book in _build/html
	@rm -rf $(SITE) _build/.doctrees
	$(BIN)/jupyter-book build . --all -W -n --keep-going -q

book: html serve  ## build the book, serve it here and print its address

serve: $(VENV)/book.stamp
	@$(BIN)/python book_ext/serve.py $(SITE)

lint: $(VENV)/test.stamp  ## ruff and mypy
	$(BIN)/ruff check .
	$(BIN)/mypy

test: lint html  ## everything that is checked
	@CHROMIUM="$$(bash book_ext/chromium.sh)" && export CHROMIUM && \
	BWRAP="$$(bash teaching/bubblewrap.sh)" && export BWRAP && \
	echo "Chromium: $$CHROMIUM" && $(BIN)/python -m pytest -n auto

NOTEBOOKS ?= $(sort $(wildcard chapters/*.ipynb))
notebooks: $(VENV)/book.stamp  ## execute the chapters and store their outputs (NOTEBOOKS=chapters/04_optimism.ipynb: only that one)
	$(BIN)/python book_ext/store_outputs.py $(NOTEBOOKS)

# What instructors use; chapters/appendix/instructors.md is their guide.
GRADES ?= grades
assignments: $(VENV)/teaching.stamp  ## student notebooks in release/, and in one zip
	$(BIN)/python teaching/assign.py --course $(GRADES)

grade: $(VENV)/teaching.stamp  ## grade a class: SUBMISSIONS=folder, and if you like SCHEDULER=address GRADES=folder UNSAFE=1
	@test -n "$(SUBMISSIONS)" || { echo "make grade SUBMISSIONS=folder, with <student>/<assignment>/<assignment>.ipynb in it" >&2; exit 2; }
	@BWRAP="$$(bash teaching/bubblewrap.sh || true)" $(BIN)/python teaching/grade.py "$(SUBMISSIONS)" --out $(GRADES) \
		$(if $(SCHEDULER),--scheduler $(SCHEDULER)) $(if $(UNSAFE),--unsafe) $(GRADE_OPTIONS)

worker: $(VENV)/teaching.stamp  ## grade for others: a Dask worker for SCHEDULER=address
	@BWRAP="$$(bash teaching/bubblewrap.sh || true)" PYTHONPATH=teaching $(BIN)/dask worker $(SCHEDULER) --nthreads $$(nproc) --no-dashboard

clean:  ## remove the environment and all that was built
	rm -rf $(VENV) _build release .pytest_cache .mypy_cache .ruff_cache .hypothesis lib/*.egg-info
	find . -name __pycache__ -type d -not -path './.git/*' -prune -exec rm -rf {} +
