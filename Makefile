# The first use of any target makes .venv from the lock file; nothing else is needed.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
RUN := runs/connect_four

.PHONY: train play test test-slow test-newest lint docs bench wheel lock clean help

help:  ## list the targets
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 12

train: $(VENV)/ready  ## learn Connect Four by self-play (about ten minutes on 2 cores); again resumes
	$(BIN)/python launch/train.py connect_four --out $(RUN)

play: $(VENV)/web-ready  ## open a page to play against the networks that come with the package
	$(BIN)/python launch/serve.py --show

# The tests compile programs once and run them for a moment: without XLA's optimizer and its fusion
# emitters they compile in half the time. The golden digests were recorded with the emitters.
UNOPTIMIZED := --xla_backend_optimization_level=0
test: $(VENV)/ready  ## the test suite without the tests marked slow
	XLA_FLAGS="$(UNOPTIMIZED) --xla_cpu_use_fusion_emitters=false" \
	  $(BIN)/python -m pytest -n 2 --dist loadfile --ignore tests/golden
	XLA_FLAGS=$(UNOPTIMIZED) $(BIN)/python -m pytest tests/golden

test-slow: $(VENV)/ready  ## the tests marked slow: the full bit-exactness matrix
	$(BIN)/python -m pytest -m slow --timeout 3000

# Versions that the lock file cannot have, because they need a newer Python than its oldest. XLA has
# no other fusion emitters there, and aborts at a flag that it does not know.
NEWEST ?= python3.12
test-newest:  ## the test suite with the newest versions that the interpreter NEWEST can have
	@$(NEWEST) -c '' || { echo "no interpreter $(NEWEST); name one: make test-newest NEWEST=PATH"; exit 1; }
	$(NEWEST) -m venv --clear $(VENV)-newest
	$(VENV)-newest/bin/python -m pip install --quiet --disable-pip-version-check -e '.[dev]'
	$(VENV)-newest/bin/python -m pip list --disable-pip-version-check | \
	  grep -iE '^(jax|jaxlib|flax|optax|mctx|numpy|ray|orbax-checkpoint) '
	XLA_FLAGS=$(UNOPTIMIZED) $(VENV)-newest/bin/python -m pytest -n 2 --dist loadfile

lint: $(VENV)/ready  ## ruff and the type checker
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/basedpyright

docs: $(VENV)/docs-ready  ## build the documentation into site/; a warning is an error
	$(BIN)/zensical build --strict

bench: $(VENV)/ready  ## self-play speed against the peer (minutes)
	$(BIN)/python -m benchmarks.selfplay_speed

wheel: $(VENV)/ready  ## build a wheel into dist/, to install elsewhere
	rm -rf build/lib
	$(BIN)/python -m pip wheel --quiet --disable-pip-version-check --no-deps -w dist .

lock:  ## renew requirements.lock from pyproject.toml (needs uv)
	uv pip compile --quiet --universal --fork-strategy fewest --python-version 3.11 --upgrade \
	  --no-header --no-annotate \
	  --extra dev --extra docs --extra pgx --extra solver --extra web pyproject.toml -o requirements.lock

clean:  ## remove the virtual environment and all caches; runs stay
	rm -rf $(VENV) $(VENV)-newest .cache site .jax_cache .pytest_cache .hypothesis .ruff_cache *.egg-info

$(VENV)/ready: pyproject.toml requirements.lock
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "oomzero needs Python 3.11 or newer, found " + sys.version.split()[0])'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c requirements.lock -e '.[dev]'
	touch $@

$(VENV)/web-ready: $(VENV)/ready
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c requirements.lock -e '.[web]'
	touch $@

$(VENV)/docs-ready: $(VENV)/ready
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c requirements.lock -e '.[docs]'
	touch $@
