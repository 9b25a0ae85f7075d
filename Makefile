# From pictures with landmarks to a frozen graph and drawn points. `make help` lists the targets.

PYTHON ?= python3
OUT    ?= out
FORMAT ?= auto
# Empty if the user names no network.
CHOSEN := $(NET)
NET    ?= senet
CUDA   ?=
GUI    ?=
DATA   ?=
IMAGE  ?=
STEPS  ?=
EPOCHS ?=
MINUTES ?=
FLAGS  ?=
MODELS ?=
SETS   ?=
WORKERS ?= 2
PS     ?= 1
NAME   ?=
FORMATS ?= onnx,tflite,saved_model

DIST   ?= dist

# FLAGS are passed to the stage named on the command line, not to the stages that run before it.
OWN_FLAGS = $(if $(filter $@,$(MAKECMDGOALS)),$(FLAGS))
VENV   ?= .venv
PY     := $(VENV)/bin/python
KP     := $(VENV)/bin/senet-kp
LOCK   := requirements/$(if $(CUDA),cuda,cpu).txt
READY  := $(VENV)/ready-$(if $(CUDA),cuda,cpu)$(if $(GUI),-gui)
SOURCE := $(if $(DATA),$(DATA),$(OUT)/sample)
RECORDS := $(OUT)/tfrecords
# Every network has a run folder of its own. Later stages use the run of NET= if it is given, and
# else the run that was trained last. If there is none, they train a short run of their own.
RUN_OF = $(OUT)/$(1)$(patsubst %,-%,$(filter-out senet,$(NET)))
SHORT  := $(call RUN_OF,short-run)
NEWEST := $(shell ls -t $(OUT)/run/latest/checkpoint $(OUT)/run-*/latest/checkpoint 2>/dev/null | \
  head -n 1)
OF_NET = $(wildcard $(call RUN_OF,run)/latest/checkpoint)
RUN    ?= $(or $(patsubst %/latest/checkpoint,%,$(if $(CHOSEN),$(OF_NET),$(NEWEST))),$(SHORT))
# out/run and out/short-run are senet's; the names of other runs end with that of their network.
NET_OF_RUN := $(or $(patsubst $(OUT)/run-%,%,$(filter $(OUT)/run-%,$(RUN))),$(NET))
MODEL  := $(OUT)/$(NET_OF_RUN).pb
# 1,600 steps take about five minutes on two cores. senet_classic gets a faster learning-rate schedule
# and batch norm to match, and neither dropout nor L2, which help it only in runs ten times as long.
SHORT_FLAGS := $(if $(STEPS)$(EPOCHS),,--steps 1600) --validate-every-steps 200
SHORT_senet_classic := --learning-rate 2e-3 --decay-steps 10 --bn-decay 0.98 --dropout-keep 1 \
                       --weight-decay 0
# The recipe of vgg16 is for a trunk with public weights; from scratch its learning rate is too high.
SHORT_vgg16 := --learning-rate 1e-4 --warmup-steps 200

LENGTH = $(if $(STEPS),--steps $(STEPS)) $(if $(EPOCHS),--epochs $(EPOCHS))

.PHONY: help setup sample data tfrecords preview train train-cluster short-run eval freeze export report demo cpp pretrained compare test fault-test lint lock wheel docker bench bench-prep bench-inference bench-training bench-video clean
.NOTPARALLEL:
.DEFAULT_GOAL := help

help:  ## show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-15s %s\n", $$1, $$2}' $(MAKEFILE_LIST)
	@echo "Settings: DATA=folder OUT=out NET=senet STEPS=n EPOCHS=n MINUTES=n IMAGE=photo NAME=data-set"
	@echo "          FORMATS=onnx,tflite,saved_model CUDA=1 GUI=1 PYTHON=python3.12 FLAGS='--other options'"
	@echo "          FORMAT=auto, or the layout of DATA:"
	@$(PY) -m data_prep.formats 2>/dev/null | awk -F '\t' '{printf "            %-14s %s\n", $$1, $$2}' | \
	  grep . || echo "            (\`make setup\` first; then \`make help\` lists them)"

setup: $(READY)  ## create .venv with exact package versions and the senet-kp command

$(READY): $(LOCK) pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(not (3, 10) <= sys.version_info < (3, 14))' 2>/dev/null || \
	  { echo "error: $(PYTHON) is missing or not Python 3.10 to 3.13; name one with PYTHON=" >&2; exit 2; }
	@$(PYTHON) -c 'import venv, ensurepip' 2>/dev/null || \
	  { echo "error: $(PYTHON) lacks venv; install it (Debian: python3-venv)" >&2; exit 2; }
	$(PYTHON) -m venv $(VENV)
	$(PY) -m pip install --disable-pip-version-check --require-hashes --no-deps -r $(LOCK)
	$(PY) -m pip install --disable-pip-version-check --quiet --no-index --no-deps --no-build-isolation -e .
	$(if $(GUI),$(WITH_WINDOWS))
	@touch $@

# The two packages install the same files, so that only one of them may be there.
define WITH_WINDOWS
$(PY) -m pip uninstall --quiet --yes opencv-python-headless
$(PY) -m pip install --disable-pip-version-check --require-hashes --no-deps -r requirements/gui.txt
@$(PY) -c 'import cv2' || { echo "error: opencv-python needs libraries of the system that are \
	missing (Debian: apt-get install libgl1 libglib2.0-0)" >&2; exit 2; }
endef

sample: setup  ## render the built-in sample data set, in the layout of 300W-LP
	$(KP) sample --out $(OUT)/sample

data: setup  ## download NAME=300w-lp|aflw2000-3d|p1|vgg16 into data/, or yunet into your cache
	$(KP) fetch $(NAME) --out data $(OWN_FLAGS)

tfrecords: setup $(if $(DATA),,sample)  ## crop the faces and write train, val and test records
	$(KP) prepare --data $(SOURCE) --format $(FORMAT) --out $(RECORDS) $(OWN_FLAGS)

# With DATA= existing records are checked against it; without DATA= they are used as they are.
$(RECORDS)/manifest.json: $(if $(DATA),tfrecords)
	$(if $(DATA),,$(MAKE) tfrecords FLAGS=)

preview: setup $(RECORDS)/manifest.json  ## draw augmented training pictures and where landmarks lie
	$(KP) preview --records $(RECORDS) --out $(OUT)/preview.png --net $(NET) $(OWN_FLAGS)

train: setup $(RECORDS)/manifest.json  ## train, or resume a training run that was stopped
	$(KP) train --records $(RECORDS) --run $(call RUN_OF,run) --net $(NET) \
	  $(LENGTH) $(if $(MINUTES),--max-minutes $(MINUTES)) $(OWN_FLAGS)

train-cluster: setup $(RECORDS)/manifest.json  ## train with WORKERS=2 processes and PS=1 parameter server
	$(KP) local-cluster --workers $(WORKERS) --ps $(PS) --records $(RECORDS) \
	  --run $(call RUN_OF,run) --net $(NET) $(LENGTH) \
	  $(if $(MINUTES),--max-minutes $(MINUTES)) $(OWN_FLAGS)

# A short run is resumed like any other; once it is complete, this takes a few seconds.
$(SHORT)/latest/checkpoint: short-run ;
short-run: setup $(RECORDS)/manifest.json
	$(KP) train --records $(RECORDS) --run $(SHORT) --net $(NET) $(SHORT_FLAGS) $(SHORT_$(NET)) \
	  $(LENGTH) $(if $(MINUTES),--max-minutes $(MINUTES))

freeze: setup $(RUN)/latest/checkpoint  ## turn the checkpoint into a frozen graph with its model card, and check it
	$(KP) freeze --run $(RUN) --records $(RECORDS) --out $(MODEL) $(OWN_FLAGS)

$(MODEL): $(RUN)/latest/checkpoint
	$(MAKE) freeze FLAGS=

comma := ,
export: setup $(MODEL)  ## convert senet.pb to FORMATS=onnx,tflite,saved_model, and check them
	$(KP) export --model $(MODEL) --records $(RECORDS) \
	  --formats $(subst $(comma), ,$(FORMATS)) $(OWN_FLAGS)

eval: setup $(MODEL)  ## score senet.pb on the test split
	$(KP) evaluate --model $(MODEL) --records $(RECORDS) $(OWN_FLAGS)

# Without the pictures the report has no scores with dlib's face boxes, and says so.
report: setup $(MODEL)  ## compare senet.pb with MODELS='other.pb run/' in out/report.html
	$(KP) report --models $(MODEL) $(MODELS) --records $(RECORDS) \
	  $(if $(wildcard $(SOURCE)),--data $(SOURCE)) --run $(RUN) --out $(OUT)/report.html $(OWN_FLAGS)

# Without IMAGE= the demo uses the first picture of each of three groups in the test split of the
# first data set; no training run has seen them.
PHOTOS = LC_ALL=C sort -t, -k1,1 $(RECORDS)/split.csv | awk -F, '$$3 ~ /^test/ && !seen[$$2]++ {print $$1}'
demo: setup $(MODEL)  ## find the faces in IMAGE=photo and draw their landmarks
	@$(MAKE) --no-print-directory eval FLAGS=
	@folder="$(firstword $(SOURCE))"; test -d "$$folder" || folder=$$(dirname "$$folder"); \
	if test -n "$(IMAGE)"; then set -- "$(IMAGE)"; else \
	  set -- $$($(PHOTOS) | while read -r name; do ls "$$folder/$$name" 2>/dev/null; done | head -n 3); fi; \
	if test $$# = 0; then \
	  echo "the pictures of $(SOURCE) are not files of their own: look at the faces of the test split"; \
	else \
	  $(KP) demo "$$@" --model $(MODEL) --out $(OUT)/demo --json $(OUT)/demo/landmarks.jsonl $(OWN_FLAGS) && \
	  echo "drawn pictures: $(OUT)/demo/, landmarks: $(OUT)/demo/landmarks.jsonl"; fi
	@echo "frozen graph:   $(MODEL), model card: $(MODEL:.pb=.json)"
	@echo "scores:         $(MODEL:.pb=-scores.json), $(MODEL:.pb=-ced.png)"
	@echo "test faces:     $(MODEL:.pb=-faces.png), true landmarks green, predicted ones red"

# Uses the system's OpenCV, because the one in .venv has no C++ headers.
cpp:  ## build the C++ program of examples/cpp: out/cpp/landmarks
	@command -v cmake >/dev/null || \
	  { echo "error: cmake is missing (Debian: cmake g++ libopencv-dev)" >&2; exit 2; }
	@for compiler in $$CXX c++ g++ clang++; do command -v $$compiler >/dev/null && exit; done; \
	  echo "error: a C++ compiler is missing (Debian: g++), or name yours with CXX=" >&2; exit 2
	cmake -S examples/cpp -B $(OUT)/cpp
	cmake --build $(OUT)/cpp

pretrained: setup  ## make the included networks anew from the data sets in SETS=folder (two hours)
	$(MAKE) -f export/pretrained/recipe.mk KP=$(KP) OUT=$(OUT)/pretrained SETS=$(SETS)

compare: setup $(RECORDS)/manifest.json  ## train every network on the same pictures; a table and a plot
	$(PY) -m benchmarks.compare --records $(RECORDS) --out $(OUT)/compare $(OWN_FLAGS)

test: setup  ## run the tests in two processes
	$(PY) -m pytest -n 2 --dist loadfile

fault-test: setup  ## kill, starve and mislead the commands for MINUTES=120, and print what they survive
	$(PY) -m tests.faults $(if $(MINUTES),--minutes $(MINUTES)) $(OWN_FLAGS)

lint: setup  ## check style and formatting with ruff
	$(VENV)/bin/ruff check . && $(VENV)/bin/ruff format --check .

bench:  ## run the benchmarks that need only data
	@$(MAKE) --no-print-directory bench-prep

bench-prep: setup $(if $(DATA),,sample)  ## measure pictures per second of preparation, by number of processes
	$(PY) -m benchmarks.bench_prepare --data $(firstword $(SOURCE)) $(OWN_FLAGS)

bench-inference: setup $(MODEL)  ## measure milliseconds per face of senet.pb and MODELS=, by backend
	$(PY) -m benchmarks.bench_inference $(MODEL) $(MODELS) --records $(RECORDS) $(OWN_FLAGS)

bench-training: setup $(RECORDS)/manifest.json  ## measure pictures per second of training, by network
	$(PY) -m benchmarks.bench_training --records $(RECORDS) $(OWN_FLAGS)

bench-video: setup  ## measure jitter, lag and identities in rendered videos, and in moved photos of DATA=
	$(PY) -m benchmarks.bench_video $(if $(DATA),--data $(firstword $(DATA))) $(OWN_FLAGS)

# Built from a copy of what git tracks (uncommitted changes included), with the date of the last
# commit and the same file modes everywhere, so that two builds of one commit are equal. `git stash`
# fails on a file that has a new date and its old content, unless the index is refreshed first.
wheel: setup  ## build dist/*.whl and its bill of materials, dist/*.cdx.json
	@rm -f $(DIST)/senet_kp-*.whl $(DIST)/senet_kp-*.cdx.json
	@set -e; umask 022; copy=$$(mktemp -d); trap 'rm -rf "$$copy"' EXIT; \
	git update-index -q --refresh || true; \
	changed=$$(git stash create); \
	git -c tar.umask=022 archive "$${changed:-HEAD}" | tar -x -C "$$copy"; \
	export SOURCE_DATE_EPOCH=$$(git log -1 --format=%ct); \
	$(PY) -m pip wheel --disable-pip-version-check --quiet --no-index --no-deps --no-build-isolation \
	  --wheel-dir $(DIST) "$$copy"; \
	$(PY) -m senet_kp.export.bill_of_materials $(DIST)/senet_kp-*.whl

docker:  ## build the container image senet-kp, for `senet-kp demo`
	docker build --tag senet-kp .

# Versions that still fit stay; FLAGS=--upgrade takes the newest ones.
COMPILE = $(VENV)/bin/uv pip compile --quiet --universal --python-version 3.10 --generate-hashes \
  --no-header --no-annotate $(OWN_FLAGS) pyproject.toml
lock: setup  ## update requirements/*.txt from pyproject.toml
	$(PY) -m pip install --quiet uv
	$(COMPILE) --extra train --extra cluster --extra dev --extra export -o requirements/cpu.txt
	$(COMPILE) --extra cuda --extra cluster --extra dev --extra export -o requirements/cuda.txt
	$(COMPILE) --constraint requirements/cpu.txt -o requirements/base.txt
	sed -n 's/^opencv-python-headless==\([^ ]*\).*/opencv-python==\1/p' requirements/base.txt | \
	  $(VENV)/bin/uv pip compile --quiet --universal --python-version 3.10 --generate-hashes \
	  --no-header --no-annotate --no-deps -o requirements/gui.txt -

# Nothing else in $(OUT), such as labels that you have corrected, is removed; and no other folder
# than out/ is, in which one of these names may be somebody else's.
RESULTS := sample tfrecords tfrecords-rejects.csv run run-* short-run short-run-* compare demo cpp \
  crossval preview.png preview-landmarks.png report.html report.json compare-runs.png compare-runs.json
ENDINGS := .pb .json .fingerprints .onnx -float32.tflite -float16.tflite -int8.tflite -saved-model -scores.json \
  -ced.png -faces.png
GRAPHS := $(basename $(wildcard out/*.pb))
clean:  ## remove the results of all stages from out/
	@test "$(abspath $(OUT))" = "$(CURDIR)/out" || \
	  { echo "error: $(OUT): clean removes only out/; remove other folders yourself" >&2; exit 2; }
	rm -rf $(addprefix out/,$(RESULTS)) $(foreach graph,$(GRAPHS),$(addprefix $(graph),$(ENDINGS)))
	@test ! -d out || rmdir out 2>/dev/null || echo "out/: kept, it holds more than the stages' results"
