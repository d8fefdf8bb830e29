# Everything a person or a machine does with this project. Needs Python >= 3.11 and make.
PYTHON ?= python3
BIN := .venv/bin
UV_VERSION := 0.13.9
export UV_PYTHON_DOWNLOADS := never
# Whatever the shell says: or each process compiles all of ours at its start.
export PYTHONDONTWRITEBYTECODE :=

# What connects the networks of services, where it can be had (decision 0006).
APT = DEBIAN_FRONTEND=noninteractive apt-get -y --no-install-recommends
FETCH_PASTA = { [ "$$(id -u)" = 0 ] && command -v apt-get && \
	{ $(APT) install passt || { $(APT) update && $(APT) install passt; }; }; } >/dev/null 2>&1
NO_PASTA = case "$$(uname)" in Linux) echo "Services will share this host's network: install pasta (apt-get install passt)";; esac

.PHONY: install demo test unit check bench schema fuzz clean

install: .venv/.installed
	@command -v pasta >/dev/null || $(FETCH_PASTA) || $(NO_PASTA)

.venv/.installed: pyproject.toml sdk/pyproject.toml uv.lock
	@$(PYTHON) -m venv .venv || { echo "On Debian and Ubuntu: apt-get install python3-venv"; exit 1; }
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check uv==$(UV_VERSION)
	@$(BIN)/uv sync --frozen --quiet --compile-bytecode --python $(BIN)/python
	@touch $@

demo: install
	@$(BIN)/python examples/demo.py

# Three for two cores: a third of the time, a test waits for what is due in seconds.
test: install
	@$(BIN)/pytest -n 3 --dist loadgroup

unit: install
	@$(BIN)/pytest tests/domain tests/plan tests/reconcile

check: install
	@$(BIN)/ruff format --check --quiet . || { echo "run: $(BIN)/ruff format"; exit 1; }
	@$(BIN)/ruff check --quiet
	@$(BIN)/mypy --no-error-summary
	@$(BIN)/lint-imports --no-cache >/dev/null || $(BIN)/lint-imports --no-cache

bench: install
	@$(BIN)/python -m bench.life
	@$(BIN)/python -m bench.throughput
	@$(BIN)/python -m bench.wake

schema: install
	@CODESTORE_SCHEMA_EXAMPLES=100 $(BIN)/pytest tests/e2e/test_schema.py

fuzz: install
	@$(BIN)/python -m bench.fuzz

clean:
	rm -rf .venv .mypy_cache .ruff_cache .hypothesis dist
