# Two commands: `make demo` shows it, `make test` checks it. `make help` lists the rest.

PYTHON ?= python3
FILMS ?=
INIT ?=
WORKERS ?= auto
FAULTS ?=

VENV := .venv
DEMO_VENV := .venv-demo
WHEEL_VENV := .venv-wheel
SERVE_VENV := .venv-serve
LOCK_VENV := .venv-lock
UV_VERSION := 0.13.9
# What Python 3.11.0 brings; a later Python brings a later one, and does not run this one.
OLDEST_PIP := 22.3
LOCK_OPTIONS := --universal --python-version 3.11 --generate-hashes --no-annotate --no-strip-extras --quiet \
  --custom-compile-command 'make lock'

BENCHMARKS := prediction eight_bits loading training_steps training_speed spreading footprint

export PIP_DISABLE_PIP_VERSION_CHECK := 1

.DEFAULT_GOAL := help
.NOTPARALLEL:
.PHONY: help demo test environment lint tests wheel container lock fresh carried evaluate trust experiments bench bench-check promises faults clinic clean

# $(call environment,FOLDER,LOCK): what LOCK pins, made anew only when LOCK or the place changes.
define environment
@if [ ! -x $(1)/bin/python ] || ! { pwd; cat $(2); } | cmp -s - $(1)/made-from.txt; then \
  set -e; echo "Making $(1) from $(2)"; rm -rf $(1); \
  $(PYTHON) -c 'import sys; sys.exit("bonexage needs Python 3.11 or newer" if sys.version_info < (3, 11) else 0)'; \
  $(PYTHON) -m venv $(1); \
  $(1)/bin/python -m pip install --quiet --require-hashes -r $(2); \
  { pwd; cat $(2); } > $(1)/made-from.txt; \
fi
endef

# $(call editable,FOLDER): this package in that environment, from here; needs no network.
define editable
@if ! cmp -s pyproject.toml $(1)/installed-by.toml; then \
  set -e; $(1)/bin/python -m pip install --quiet --no-deps --no-index --no-build-isolation --editable .; \
  cp pyproject.toml $(1)/installed-by.toml; \
fi
endef

help: ## List what can be made
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' Makefile

demo: ## Read the carried atlas plates, or your own films with FILMS=folder
	$(call environment,$(DEMO_VENV),requirements/predict.txt)
	$(call editable,$(DEMO_VENV))
	$(DEMO_VENV)/bin/bonexage demo $(if $(FILMS),"$(FILMS)")

test: lint wheel tests ## Linters, types, walls, the wheel and all tests

environment: ## The environment with everything, from the lock
	$(call environment,$(VENV),requirements/all.txt)
	$(call editable,$(VENV))

lint: environment ## Linters, types, walls and dependencies
	$(VENV)/bin/ruff check .
	$(VENV)/bin/ruff format --check .
	$(VENV)/bin/mypy
	$(VENV)/bin/lint-imports
	$(VENV)/bin/deptry src

tests: environment ## All tests, with branch coverage
	OMP_NUM_THREADS=1 ITK_GLOBAL_DEFAULT_NUMBER_OF_THREADS=1 \
	  $(VENV)/bin/python -m pytest -n $(WORKERS) --dist loadfile --cov

wheel: environment ## Wheel and sdist, and the wheel's command tried in a bare environment
	rm -rf dist
	$(VENV)/bin/python -m build --no-isolation --outdir dist
	$(call environment,$(WHEEL_VENV),requirements/predict.txt)
	$(WHEEL_VENV)/bin/python -m pip install --quiet --no-deps --no-index --force-reinstall dist/*.whl
	$(PYTHON) tests/house/smoke_wheel.py $(WHEEL_VENV)

container: wheel ## The container file's steps in a fresh environment, and the service tried there
	$(call environment,$(SERVE_VENV),requirements/serve.txt)
	$(SERVE_VENV)/bin/python -m pip install --quiet --no-deps --no-index --force-reinstall dist/*.whl
	$(PYTHON) tests/house/smoke_service.py $(SERVE_VENV)

lock: ## Resolve the locks again; UPGRADE=--upgrade takes the newest releases
	@test -x $(LOCK_VENV)/bin/uv || { $(PYTHON) -m venv $(LOCK_VENV) && \
	  $(LOCK_VENV)/bin/python -m pip install --quiet uv==$(UV_VERSION); }
	$(LOCK_VENV)/bin/uv pip compile $(UPGRADE) pyproject.toml --all-extras --group dev $(LOCK_OPTIONS) -o requirements/all.txt
	$(LOCK_VENV)/bin/uv pip compile $(UPGRADE) pyproject.toml --group build -c requirements/all.txt $(LOCK_OPTIONS) -o requirements/predict.txt
	$(LOCK_VENV)/bin/uv pip compile $(UPGRADE) pyproject.toml --extra serve --group build -c requirements/all.txt $(LOCK_OPTIONS) -o requirements/serve.txt

fresh: ## Install each lock with the oldest supported pip, in an empty home and environment; needs 7 GB in TMPDIR
	@set -e; folder="$$(mktemp -d)"; trap 'rm -rf "$$folder"' EXIT; trap 'exit 1' HUP INT TERM; \
	mkdir "$$folder/home"; export HOME="$$folder/home" PIP_NO_CACHE_DIR=1; \
	unset PYTHONPATH VIRTUAL_ENV XDG_CACHE_HOME XDG_CONFIG_HOME XDG_DATA_HOME; \
	for lock in predict serve all; do \
	  made="$$folder/$$lock"; $(PYTHON) -m venv "$$made"; python="$$made/bin/python"; \
	  if "$$python" -c 'import sys; sys.exit(sys.version_info >= (3, 12))'; then \
	    "$$python" -m pip install --quiet pip==$(OLDEST_PIP); fi; \
	  echo "requirements/$$lock.txt: $$("$$python" -m pip --version)"; \
	  "$$python" -m pip install --quiet --require-hashes -r "requirements/$$lock.txt"; \
	  "$$python" -m pip install --quiet --no-deps --no-index --no-build-isolation .; \
	  "$$python" -m pip check; \
	  case $$lock in \
	    predict) "$$python" tests/house/smoke_wheel.py "$$made";; \
	    serve) "$$python" tests/house/smoke_service.py "$$made";; \
	    all) "$$made/bin/bonexage" train --help >"$$folder/help.txt"; "$$python" -c 'import ray, timm, torch, torchvision';; \
	  esac; \
	  rm -rf "$$made"; \
	done; echo "Every lock can be installed on a fresh machine"

carried: environment ## Train the carried model on the folders of BONEXAGE_DATA, and put it in its place
	@test -n "$(BONEXAGE_DATA)" || { echo "Set BONEXAGE_DATA to the folder that holds the data folders"; exit 2; }
	test -f runs/locator.onnx || $(VENV)/bin/bonexage train-locator --data "$(BONEXAGE_DATA)/rsna-299px" \
	  --data "$(BONEXAGE_DATA)/rsna-640px" --others "$(BONEXAGE_DATA)/not-a-hand" --steps 3500 --out runs/locator.onnx
	$(VENV)/bin/bonexage train recipes/carried.toml --data "$(BONEXAGE_DATA)/rsna-299px" \
	  --data "$(BONEXAGE_DATA)/rsna-640px" --locator runs/locator.onnx --out runs/carried \
	  --require-init $(if $(wildcard runs/carried/last.pt),--resume)
	$(VENV)/bin/bonexage export runs/carried --views 4 --out src/bonexage/model/carried
	$(VENV)/bin/python docs/draw_pictures.py runs/carried/metrics.csv

evaluate: environment ## Measure the carried model on the folders of BONEXAGE_DATA; write evaluation/ and the README's table
	@test -n "$(BONEXAGE_DATA)" || { echo "Set BONEXAGE_DATA to the folder that holds the data folders"; exit 2; }
	for folder in "$(BONEXAGE_DATA)"/rsna-*; do \
	  $(VENV)/bin/bonexage evaluate src/bonexage/model/carried --data "$$folder" --split test \
	    --out "evaluation/$$(basename "$$folder")" || [ $$? -eq 3 ] || exit; \
	done
	$(VENV)/bin/bonexage evaluate src/bonexage/model/carried --data "$(BONEXAGE_DATA)/other-scanner/films" \
	  --labels "$(BONEXAGE_DATA)/other-scanner/films.csv" --out evaluation/other-scanner || [ $$? -eq 3 ]
	$(VENV)/bin/python docs/draw_pictures.py
	$(VENV)/bin/python docs/write_readme.py

trust: environment ## Measure what the carried model refuses, withstands and shows, on the folders of BONEXAGE_DATA; write TRUST.md
	@test -n "$(BONEXAGE_DATA)" || { echo "Set BONEXAGE_DATA to the folder that holds the data folders"; exit 2; }
	$(VENV)/bin/python benchmarks/resolution.py
	$(VENV)/bin/python benchmarks/intervals.py
	-$(VENV)/bin/python benchmarks/refusal.py
	-$(VENV)/bin/python benchmarks/cautions.py
	-$(VENV)/bin/python benchmarks/robustness.py
	$(VENV)/bin/python benchmarks/precision.py
	-$(VENV)/bin/python benchmarks/explanation.py
	$(VENV)/bin/python docs/write_trust.py

experiments: environment ## Run the experiments that are not finished on the folders of BONEXAGE_DATA (INIT=weights); write what came of them
	@test -n "$(BONEXAGE_DATA)" || { echo "Set BONEXAGE_DATA to the folder that holds the data folders"; exit 2; }
	$(VENV)/bin/python experiments/run.py $(if $(INIT),--init "$(INIT)") \
	  $(if $(wildcard runs/locator.onnx),--locator runs/locator.onnx)
	$(VENV)/bin/python experiments/write_table.py
	$(VENV)/bin/python experiments/label_noise.py
	$(VENV)/bin/python experiments/correction.py

bench: environment ## Measure every speed against another (20 minutes); write BENCHMARKS.md and the plan in docs/cluster.md
	set -e; for name in $(BENCHMARKS); do echo "== $$name"; $(VENV)/bin/python benchmarks/$$name.py; done
	$(VENV)/bin/python docs/write_benchmarks.py

bench-check: environment ## Measure the speeds again; fails where a ratio is worse than the committed one by more than 20%
	set -e; export BONEXAGE_BENCH="$$(mktemp -d)"; \
	for name in $(BENCHMARKS); do echo "== $$name"; $(VENV)/bin/python benchmarks/$$name.py; done; \
	$(VENV)/bin/python benchmarks/check_ratios.py "$$BONEXAGE_BENCH"

promises: environment ## Check what is promised of start, size, memory and a hundred films
	$(call environment,$(DEMO_VENV),requirements/predict.txt)
	set -e; for name in startup install_size flat_memory predict_hundred; do \
	  echo "== $$name"; $(VENV)/bin/python benchmarks/$$name.py; done

faults: environment ## Trials that plant faults for many minutes, all or FAULTS=name; writes RELIABILITY.md
	OMP_NUM_THREADS=1 $(VENV)/bin/python -m trials $(FAULTS)

clinic: environment ## Films through the node into Debian's Orthanc and back by DICOMweb; installs what is missing with apt
	tests/clinic_live/install.sh
	OMP_NUM_THREADS=1 $(VENV)/bin/python -m pytest tests/clinic_live

clean: ## Remove what was made, environments included
	rm -rf $(VENV) $(DEMO_VENV) $(WHEEL_VENV) $(SERVE_VENV) $(LOCK_VENV) dist demo .coverage .mypy_cache .pytest_cache .ruff_cache
