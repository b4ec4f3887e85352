# Two commands do all the set-up: `make demo` and `make test`. Needs Python 3.11-3.13, make and git.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PORT ?= 8000
COUNT ?= 2000
RUNS ?= 100000
DATA ?= ./data
ROUNDS ?= 50
BROKERS ?= embedded rabbitmq
MINUTES ?= 60

# Ray 2.60 gives new clusters token authentication; its command line must be told to use it too.
export RAY_AUTH_MODE := token
export RAY_USAGE_STATS_ENABLED := 0
# On a busy machine a node needs longer than the 30 s after which Ray gives up.
export RAY_raylet_start_wait_time_s := 180
export PYTHONUNBUFFERED := 1
# Containers often forbid it; every process of a cluster would compile all of Ray anew.
export PYTHONDONTWRITEBYTECODE :=
export NO_MKDOCS_2_WARNING := 1

.PHONY: install docs demo test test-all chaos chaos-cluster soak chaos-index fuzz bench serve check format lock wheel licenses sbom audit openapi clean

install: $(VENV)/.installed

$(VENV)/.installed: requirements/lock.txt requirements/bootstrap.txt pyproject.toml
	$(PYTHON) -c 'import sys; assert (3, 11) <= sys.version_info[:2] <= (3, 13), sys.version'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --require-hashes -r requirements/bootstrap.txt
	$(BIN)/uv pip install --quiet --python $(BIN)/python --compile-bytecode --require-hashes \
		-r requirements/lock.txt
	$(BIN)/uv pip install --quiet --python $(BIN)/python --no-deps --no-build-isolation --editable .
	touch $@

demo: install
	$(BIN)/python -m pipelines.demo $(if $(VIDEOS),--videos '$(VIDEOS)')

# Everything that needs no cluster of its own and kills nothing: under ten minutes on two cores.
# ARGS="tests/unit -k ledger" picks some of them.
WORKERS ?= 2
test: install
	$(BIN)/python -m pytest --numprocesses $(WORKERS) -m "not slow" \
		--override-ini faulthandler_timeout=115 $(ARGS)

# Adds what is marked as slow: first what needs no cluster; then, one after the other, clusters,
# deployments, restarts, kills, chaos, soak, jobs of Ray Data and Ray Train: two clusters at once do
# not come up in time on two cores.
SLOW := $(BIN)/python -m pytest -m slow --timeout 1200
test-all: test
	$(SLOW) --numprocesses $(WORKERS) --dist loadfile tests/unit tests/e2e
	$(SLOW) tests/integration

# Kills processes of a working service and looks whether anything acknowledged is missing, with each
# broker in turn (RabbitMQ is left out where it is not installed).
chaos: install
	for broker in $(BROKERS); do \
		$(BIN)/python -m pytest -s tests/integration/test_chaos.py --timeout 10000 --chaos-rounds $(ROUNDS) \
			--chaos-broker $$broker || exit 1; \
	done

# Kills nodes of a cluster of three, its head, its broker and the way to its store, under load.
chaos-cluster: install
	$(BIN)/python -m pytest -s tests/integration/test_cluster.py --timeout 7200 --cluster-kills 5

# Keeps a service busy for an hour and looks whether its memory, handles and files stay flat.
soak: install
	$(BIN)/python -m pytest -s tests/integration/test_soak.py --timeout 20000 --soak-minutes $(MINUTES)

# Kills indexing jobs and their workers at random points, and compares what comes out.
chaos-index: install
	$(BIN)/python -m pytest -s tests/integration/test_index_kills.py --timeout 10000 --index-kills 20

# Mutated files, and requests and addresses made by coverage where atheris is installed.
fuzz: install
	$(BIN)/python -m tests.support.fuzz_borders -runs=$(RUNS) -max_len=4096 || test $$? = 1
	$(BIN)/python -m pytest tests/unit/media/test_fuzz.py --fuzz $(COUNT)

# Measures everything anew, some of it for many minutes; BENCH="service retrieval" measures some.
BENCH ?= service overload retrieval peers index_job gpu training simulate_day sound
bench: install
	$(BIN)/uv pip install --quiet --python $(BIN)/python --no-deps --require-hashes -r requirements/bench.txt
	for name in $(BENCH); do \
		OMP_NUM_THREADS=1 $(BIN)/python -m benchmarks.$$name || exit 1; \
	done

serve: install
	$(BIN)/python -m serve_app.main --port $(PORT) --data '$(DATA)'

check: install
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-cache
	$(BIN)/codespell
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build

# The documentation as a site, in site/; fails on a link that leads nowhere.
docs: install
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build

format: install
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

# Hashes of every dependency for every platform; no index is named. Images do without decord.
EXTRAS := train rabbitmq postgres decord s3 tracing plots
IMAGE_EXTRAS := serve rabbitmq postgres tracing
lock: install
	$(BIN)/uv pip compile --quiet --universal --generate-hashes --no-annotate \
		--no-header --python-version 3.11 $(EXTRAS:%=--extra %) --group dev pyproject.toml \
		-o requirements/lock.txt
	$(BIN)/uv pip compile --quiet --universal --generate-hashes --no-annotate \
		--no-header --python-version 3.11 --group bench --no-deps -o requirements/bench.txt
	$(BIN)/uv pip compile --quiet --universal --generate-hashes --no-annotate --no-header \
		--python-version 3.11 $(IMAGE_EXTRAS:%=--extra %) --extra gpu \
		--constraints requirements/lock.txt pyproject.toml -o requirements/cuda.txt
	$(BIN)/uv pip compile --quiet --universal --generate-hashes --no-annotate --no-header \
		--python-version 3.11 $(IMAGE_EXTRAS:%=--extra %) \
		--constraints requirements/lock.txt pyproject.toml -o requirements/cpu.txt

# What `pip install` takes: weights, settings files and the console are inside.
wheel: install
	$(BIN)/python -m hatchling build --target wheel --directory dist

# What Dubl is made of: THIRD_PARTY.md, a bill of materials, known holes (where advisories can be reached).
licenses: install
	$(BIN)/python requirements/inventory.py licenses

sbom: install
	$(BIN)/python requirements/inventory.py sbom dist/sbom.cdx.json

audit: install
	$(BIN)/python requirements/inventory.py audit

# The committed copy of the HTTP contract, which a test compares with the code.
openapi: install
	$(BIN)/python -m tests.support.openapi

clean:
	rm -rf $(VENV) demo
