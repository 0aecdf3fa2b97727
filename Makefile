# `make demo` and `make test` work from a fresh clone with Python >= 3.10, git and make. Everything lives in .venv.

PYTHON ?= python3
BIN := .venv/bin
READY := .venv/.ready
FOUNDING := tests/corpus/founding
CORPUS := build/corpus
# Skills that hold rules: mypy looks at one at a time, because two skills may both have a module of the same name.
SKILLS := $(sort $(foreach file,$(wildcard skills/*/checks/*/*.py),$(firstword $(subst /checks/, ,$(file)))))

.PHONY: help setup demo test check bench bench-fast bench-cost bench-learn corpus-verify docs

help:
	@echo 'make demo    watch Cognate find the faults planted in a training script, then judge the repaired one'
	@echo 'make test    set up .venv and run every check that CI runs'
	@echo 'make check   the same without setting up: lint, types, layers, generated docs, tests'
	@echo 'make bench   root causes found and false alarms on every program of the corpus: under an hour on two cores'
	@echo 'make bench-fast   the same on a few programs, compared with what was found before; a part of make test'
	@echo 'make bench-cost   what observing costs, how fast commands start and training steps are'
	@echo 'make bench-learn  what the reference model learns beside its peers'
	@echo 'make corpus-verify    does each fault of the corpus change the outcome, and does its twin learn?'
	@echo 'make docs    write the generated parts of docs/'

setup: $(READY)

$(READY): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit("Cognate needs Python 3.10 or newer: make PYTHON=python3.12, say." if sys.version_info < (3, 10) else 0)'
	@echo 'Setting up .venv. torch is large: the first time takes a few minutes.'
	@$(PYTHON) -m venv .venv
	@$(BIN)/python -m pip install --quiet --constraint constraints.txt pip
	@$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable . --group dev
	@touch $@

test: setup check bench-fast

check:
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	@set -e; for skill in $(SKILLS); do echo "$(BIN)/mypy $$skill/checks"; \
	  $(BIN)/mypy --explicit-package-bases --allow-any-generics "$$skill/checks"; done
	$(BIN)/lint-imports
	$(BIN)/python -m cognate.reference --check
	$(BIN)/python -m pytest --numprocesses auto --maxprocesses 8 --dist loadfile

# The faulty run and its verdict must be negative, the repaired one's must not: `!` fails the demo otherwise.
# One thread and time enough for the experiments: the same numbers on a slow or busy machine.
demo: export OMP_NUM_THREADS = 1
demo: setup
	@rm -rf runs/demo-faulty runs/demo-repaired
	@printf '\n== cognate doctor: the environment and the source, before anything runs\n\n'
	@! $(BIN)/cognate doctor $(FOUNDING)/faulty/train.py
	@printf '\n== cognate run: the same script, unchanged and observed\n\n'
	@$(BIN)/cognate run --probe-seconds 60 --case runs/demo-faulty $(FOUNDING)/faulty/train.py || true
	@$(BIN)/cognate report runs/demo-faulty -o reports/demo-faulty.md
	@printf '\n== cognate gate: what CI would say\n\n'
	@! $(BIN)/cognate gate runs/demo-faulty
	@printf '\n== cognate run: the repaired script\n\n'
	@$(BIN)/cognate run --probe-seconds 60 --case runs/demo-repaired $(FOUNDING)/repaired/train.py
	@$(BIN)/cognate report runs/demo-repaired -o reports/demo-repaired.md
	@printf '\n'
	@$(BIN)/cognate gate runs/demo-repaired
	@printf '\nOpen reports/demo-faulty.md for the status report, reports/demo-repaired.md for the healthy one.\n'

bench: setup
	$(BIN)/python -m benchmarks.corpus.materialise --out $(CORPUS)
	$(BIN)/cognate bench $(CORPUS) --format json -o build/bench.json --confidence cognate/diagnosis/confidence.json
	$(BIN)/python -m benchmarks.accuracy build/bench.json

# More seconds for the experiments than a user's run has: a slow or busy machine must not lose a cause.
bench-fast: setup
	$(BIN)/python -m benchmarks.corpus.materialise --out $(CORPUS)
	$(BIN)/cognate bench $(CORPUS) --fast --probe-seconds 20 --check tests/corpus/fast-baseline.json

bench-cost: setup
	$(BIN)/python benchmarks/startup.py
	$(BIN)/python benchmarks/overhead.py
	$(BIN)/python benchmarks/train.py

bench-learn: setup
	$(BIN)/python benchmarks/learn.py

corpus-verify: setup
	$(BIN)/python -m benchmarks.corpus.verify -j 2

docs: setup
	$(BIN)/python -m cognate.reference
