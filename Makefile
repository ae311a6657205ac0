# Everything below sets up its own virtual environment first; a machine with Python 3.11 or newer and make is enough.

PYTHON ?= python3
VENV ?= .venv
# Long tests in full, or in the short form that CI runs: FORM=short
FORM ?= full
# Which stories of each mode `make simulate` tells
SEEDS ?= 0..99
# Folder with market history for the benchmarks; the synthetic market without one
DATA ?= $(wildcard ../shared/data)

BIN := $(VENV)/bin
# A file's tests stay on one worker, so that what they share is made once; long files come early in this order.
BY_FILE := --dist loadfile --no-loadscope-reorder
READY := $(VENV)/.ready
DOCS_READY := $(VENV)/.docs-ready

.PHONY: demo test test-long bench peers table simulate soak lint types layers docs

# A basis strategy on ninety days of the embedded synthetic market.
demo: $(READY)
	$(BIN)/basis-actors backtest btc_basis --start 2024-01-01 --end 2024-03-31

test: $(READY)
	$(BIN)/python -m pytest -n 2 $(BY_FILE) --import-mode=importlib -m "not long"

test-long: $(READY)
	$(BIN)/python -m pytest -n 2 --import-mode=importlib -m long --form $(FORM)

# One table of every benchmark, on the real history of DATA where there is some. BENCH=--quick only shows that it works;
# with BENCH=--json the rows are those that docs/assets/benchmarks.json has.
bench: $(READY)
	$(BIN)/python benchmarks/suite.py $(if $(DATA),--data $(DATA)) $(BENCH)

# The same year in other engines, which are installed for it. Its rows with PEERS=--json are docs/assets/peers.json.
peers: $(READY)
	$(BIN)/python benchmarks/peers.py $(PEERS)

# What every mode came to, on the real history of DATA where there is some. TABLE=--json for all the numbers.
table: $(READY)
	$(BIN)/python benchmarks/mode_table.py $(if $(DATA),--data $(DATA)) $(TABLE)

# Stories of failing exchanges and killed processes, in every mode that they can be told of.
simulate: $(READY)
	for mode in btc_basis eth_basis usdt_market_neutral usdt_market_neutral_no_leverage; do \
		$(BIN)/basis-actors simulate $$mode --seeds $(SEEDS) || exit 1; \
	done

# A live process on paper with faults in every minute: SOAK="--minutes 60 --speed 1000" for an hour.
soak: $(READY)
	$(BIN)/python benchmarks/soak.py $(if $(DATA),--data $(DATA)) $(SOAK)

lint: $(READY)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(READY)
	$(BIN)/mypy

layers: $(READY)
	$(BIN)/lint-imports

# What the documents take from the code, then the site of them in build/site, with every link followed.
docs: $(DOCS_READY)
	$(BIN)/python -m docs_build
	$(BIN)/python -m docs_build.build_site

$(READY): pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable ".[dev]"
	touch $(READY)

$(DOCS_READY): $(READY)
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable ".[docs]"
	touch $(DOCS_READY)
