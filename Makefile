# Soft Optimality: read it with `make book`, check it with `make test`.  Needs Python >= 3.11, make and git.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
SITE := _build/html
PIP := $(BIN)/python -m pip install -qq --disable-pip-version-check

# Notebooks are stored and checked without live widgets, and without a display.
export SOFT_OPTIMALITY_STATIC := 1
export PYTHONHASHSEED := 0

.PHONY: help assignments bench binder book grade html ledger links mutants pdf serve test lint notebooks worker clean
.DEFAULT_GOAL := help

help:  ## list the targets
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  make %-10s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

# Each environment is a stamp: made again when what it is made from changes.
$(VENV)/book.stamp: requirements.txt requirements-pages.txt pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed; try: make PYTHON=python3.12")'
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@echo "Installing the book's environment in $(VENV) (once; a few minutes)"
	$(PIP) -r requirements.txt
	$(PIP) --no-deps -r requirements-pages.txt
	@touch $@

# Pure wheels for the Python in the reader's browser; the book serves them.
$(VENV)/lite.stamp: $(VENV)/book.stamp requirements-lite.txt
	@rm -rf $(VENV)/lite-wheels
	$(BIN)/python -m pip download -qq --disable-pip-version-check --no-deps --only-binary=:all: --platform any --implementation py --abi none \
		--python-version 3.14 -d $(VENV)/lite-wheels -r requirements-lite.txt
	@touch $@

$(VENV)/teaching.stamp: $(VENV)/book.stamp requirements-teaching.txt
	$(PIP) -r requirements-teaching.txt
	@touch $@

$(VENV)/test.stamp: $(VENV)/teaching.stamp requirements-test.txt
	$(PIP) -r requirements-test.txt
	@touch $@

# The whole site is built anew: a page that Sphinx found up to date would not repeat its warnings, which are errors here.
# SOLUTIONS=0 leaves the exercises' solutions out of it.
SOLUTIONS ?= 1
html: $(VENV)/lite.stamp  ## build the book in _build/html (SOLUTIONS=0: without the exercises' solutions)
	@rm -rf $(SITE) _build/.doctrees
	@$(BIN)/python book_ext/exercise_pages.py $(if $(filter 0,$(SOLUTIONS)),--without-solutions)
	$(BIN)/jupyter-book build . --all -W -n --keep-going -q
	$(BIN)/python book_ext/lite.py $(SITE) $(VENV)/lite-wheels

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

pdf: html $(VENV)/test.stamp  ## print the whole book to _build/soft-optimality.pdf (with Chromium)
	@CHROMIUM="$$(bash book_ext/chromium.sh)" && export CHROMIUM && $(BIN)/python book_ext/pdf.py $(SITE) _build/soft-optimality.pdf

links: $(VENV)/book.stamp  ## ask every external link whether it still leads somewhere (needs the network)
	$(BIN)/jupyter-book build . --path-output _build/links --builder linkcheck --all -q

binder: $(VENV)/test.stamp  ## build what Binder would build of the last commit, and execute a chapter there (needs the network)
	$(BIN)/python -m pytest -o addopts=-ra tests/book/test_binder.py

ledger: $(VENV)/test.stamp  ## verify every equation and write what was found to the ledger
	LEDGER=write $(BIN)/python -m pytest -n auto --dist=load -q -m equation tests/equations

mutants: $(VENV)/test.stamp  ## break the library on purpose, many times, and see whether the ledger notices (some minutes; NEW=1: only those not tried yet)
	PYTHONPATH=book_ext NEW=$(NEW) $(BIN)/python tests/equations/mutants.py

NOTEBOOKS ?= $(sort $(wildcard chapters/*.ipynb chapters/appendix/*.ipynb))
notebooks: $(VENV)/book.stamp  ## execute the chapters and store their outputs (NOTEBOOKS=chapters/04_optimism.ipynb: only that one)
	$(BIN)/python book_ext/store_outputs.py $(NOTEBOOKS)

bench: $(VENV)/book.stamp  ## this library and its peers side by side, each installed in .venv-bench/ (half an hour; needs the network)
	$(BIN)/python benchmarks/bench.py
	$(BIN)/python book_ext/store_outputs.py chapters/appendix/speed.ipynb

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
	rm -rf $(VENV) .venv-bench _build exercises release .pytest_cache .mypy_cache .ruff_cache .hypothesis lib/*.egg-info
	find . -name __pycache__ -type d -not -path './.git/*' -prune -exec rm -rf {} +
