# The two commands of the README are `make demo` and `make test`; everything else serves them.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
DEMO ?= demo
STAMP := $(VENV)/.stamp
# A hospital's tool does not phone home; two processes of two threads on two cores are many times slower than one each.
export MLFLOW_DISABLE_TELEMETRY := true
export DO_NOT_TRACK := true
export PIP_DISABLE_PIP_VERSION_CHECK := 1

.PHONY: help setup demo test check train-phantom clean

help:
	@echo "make demo   set up .venv, write a synthetic study archive, run infer.py on it, say where the reports are"
	@echo "make test   set up .venv, run every test that needs no GPU"
	@echo "make check  ruff, mypy, import-linter"
	@echo "make train-phantom   train all packaged models again on synthetic patients (about two hours on 2 cores)"

setup: $(STAMP)

$(STAMP): pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install -q -c constraints.txt -e '.[dev,pacs]'
	@touch $(STAMP)

demo: $(STAMP)
	$(BIN)/irae phantom --out $(DEMO)/archive --patients 4 --seed 7
	$(BIN)/python infer.py archive=$(DEMO)/archive/dicom out=$(DEMO)/out context=$(DEMO)/archive/context.csv

test: $(STAMP)
	$(BIN)/python -m pytest -n 2

check: $(STAMP)
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-cache

train-phantom: $(STAMP)
	$(BIN)/python train.py task=organs data=phantom
	$(BIN)/python train.py task=thyroid data=phantom
	$(BIN)/python train.py task=adrenals data=phantom
	$(BIN)/python train.py task=muscle data=phantom
	$(BIN)/python train.py task=pituitary data=phantom
	$(BIN)/python train.py task=classifiers data=phantom

clean:
	rm -rf $(VENV) $(DEMO) build dist *.egg-info
