# From pictures with landmarks to a frozen graph and drawn points. `make help` lists the targets.

PYTHON ?= python3
OUT    ?= out
FORMAT ?= auto
NET    ?= senet
CUDA   ?=
DATA   ?=
IMAGE  ?=
STEPS  ?=
MINUTES ?=
FLAGS  ?=
MODELS ?=
WORKERS ?= 2
PS     ?= 1
NAME   ?=
FORMATS ?= onnx,tflite,saved_model

# FLAGS go to the stage that was asked for, not to those that run before it.
OWN_FLAGS = $(if $(filter $@,$(MAKECMDGOALS)),$(FLAGS))
VENV   ?= .venv
PY     := $(VENV)/bin/python
LOCK   := requirements/$(if $(CUDA),cuda,cpu).txt
READY  := $(VENV)/ready-$(if $(CUDA),cuda,cpu)
SOURCE := $(if $(DATA),$(DATA),$(OUT)/sample)
RECORDS := $(OUT)/tfrecords
MODEL  := $(OUT)/senet.pb
# Later stages take the run that `make train` left, or make a short one of their own.
SHORT  := $(OUT)/short-run
RUN    ?= $(if $(wildcard $(OUT)/run/latest/checkpoint),$(OUT)/run,$(SHORT))
# 1,600 steps, about five minutes on two cores. For senet_classic schedule and batch norm are in a
# hurry to match, without dropout and L2, which pay it only in runs ten times as long.
SHORT_FLAGS := --steps 1600 --validate-every-steps 200
SHORT_senet_classic := --learning-rate 2e-3 --decay-steps 10 --bn-decay 0.98 --dropout-keep 1 \
                       --weight-decay 0

.PHONY: help setup sample data tfrecords preview train train-cluster short-run eval freeze export report demo cpp compare test lint lock bench bench-prep bench-inference bench-training clean
.NOTPARALLEL:
.DEFAULT_GOAL := help

help:  ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-13s %s\n", $$1, $$2}' $(MAKEFILE_LIST)
	@echo "Settings: DATA=folder OUT=out NET=senet STEPS=n MINUTES=n IMAGE=photo NAME=data-set"
	@echo "          FORMAT=auto|300w-lp|p1|pts|imglab|csv|kaggle|wflw|aflw2000-3d"
	@echo "          FORMATS=onnx,tflite,saved_model CUDA=1 PYTHON=python3.12 FLAGS='--more flags of the stage'"

setup: $(READY)  ## the environment: .venv with exact versions

$(READY): $(LOCK)
	@$(PYTHON) -c 'import sys; sys.exit(not (3, 10) <= sys.version_info < (3, 14))' 2>/dev/null || \
	  { echo "error: $(PYTHON) is missing or not Python 3.10 to 3.13; name one with PYTHON=" >&2; exit 2; }
	@$(PYTHON) -c 'import venv, ensurepip' 2>/dev/null || \
	  { echo "error: $(PYTHON) lacks venv; install it (Debian: python3-venv)" >&2; exit 2; }
	$(PYTHON) -m venv $(VENV)
	$(PY) -m pip install --disable-pip-version-check --require-hashes --no-deps -r $(LOCK)
	@touch $@

sample: setup  ## render the built-in sample set in the layout of 300W-LP
	$(PY) -m data_prep.sample_faces --out $(OUT)/sample

data: setup  ## fetch NAME=300w-lp|aflw2000-3d|p1 into data/
	$(PY) -m data_prep.download $(NAME) --out data $(OWN_FLAGS)

tfrecords: setup $(if $(DATA),,sample)  ## crop the faces, write train, val and test records
	$(PY) -m data_prep.prepare --data $(SOURCE) --format $(FORMAT) --out $(RECORDS) $(OWN_FLAGS)

# With DATA= the records are checked against it; without, those that are there will do.
$(RECORDS)/manifest.json: $(if $(DATA),tfrecords)
	$(if $(DATA),,$(MAKE) tfrecords FLAGS=)

preview: setup $(RECORDS)/manifest.json  ## draw training pictures as augmentation makes them
	$(PY) -m senet_kp.preview --records $(RECORDS) --out $(OUT)/preview.png $(OWN_FLAGS)

train: setup $(RECORDS)/manifest.json  ## train, or go on with a training that was stopped
	$(PY) -m senet_kp.train --records $(RECORDS) --run $(OUT)/run --net $(NET) \
	  $(if $(STEPS),--steps $(STEPS)) $(if $(MINUTES),--max-minutes $(MINUTES)) $(OWN_FLAGS)

train-cluster: setup $(RECORDS)/manifest.json  ## the same by WORKERS=2 processes and PS=1 parameter server
	$(PY) -m senet_kp.local_cluster --workers $(WORKERS) --ps $(PS) --records $(RECORDS) \
	  --run $(OUT)/run --net $(NET) $(if $(STEPS),--steps $(STEPS)) \
	  $(if $(MINUTES),--max-minutes $(MINUTES)) $(OWN_FLAGS)

# The short training is gone on with like any other, and is quick to say that it is done.
$(SHORT)/latest/checkpoint: short-run ;
short-run: setup $(RECORDS)/manifest.json
	$(PY) -m senet_kp.train --records $(RECORDS) --run $(SHORT) --net $(NET) $(SHORT_FLAGS) $(SHORT_$(NET)) \
	  $(if $(STEPS),--steps $(STEPS)) $(if $(MINUTES),--max-minutes $(MINUTES))

freeze: setup $(RUN)/latest/checkpoint  ## checkpoint to senet.pb and its model card, checked
	$(PY) -m export.freeze --run $(RUN) --records $(RECORDS) --out $(MODEL) $(OWN_FLAGS)

$(MODEL): $(RUN)/latest/checkpoint
	$(MAKE) freeze FLAGS=

comma := ,
export: setup $(MODEL)  ## senet.pb to FORMATS=onnx,tflite,saved_model beside it, checked
	$(PY) -m export.convert --model $(MODEL) --records $(RECORDS) \
	  --formats $(subst $(comma), ,$(FORMATS)) $(OWN_FLAGS)

eval: setup $(MODEL)  ## score senet.pb on the test side
	$(PY) -m senet_kp.evaluate --model $(MODEL) --records $(RECORDS) $(OWN_FLAGS)

# Without the pictures the report leaves out what dlib's boxes cost, and says so.
report: setup $(MODEL)  ## measure senet.pb in full, beside MODELS='other.pb run/': out/report.html
	$(PY) -m senet_kp.report --models $(MODEL) $(MODELS) --records $(RECORDS) \
	  $(if $(wildcard $(SOURCE)),--data $(SOURCE)) --run $(RUN) --out $(OUT)/report.html $(OWN_FLAGS)

# Without IMAGE= the first pictures of three groups on the test side, which no training has seen,
# from the first data set.
PHOTOS = LC_ALL=C sort -t, -k1,1 $(RECORDS)/split.csv | awk -F, '$$3 ~ /^test/ && !seen[$$2]++ {print $$1}'
demo: setup $(MODEL)  ## find the faces in IMAGE=photo, draw their landmarks
	@$(MAKE) --no-print-directory eval FLAGS=
	@folder="$(firstword $(SOURCE))"; test -d "$$folder" || folder=$$(dirname "$$folder"); \
	if test -n "$(IMAGE)"; then set -- "$(IMAGE)"; else \
	  set -- $$($(PHOTOS) | while read -r name; do ls "$$folder/$$name" 2>/dev/null; done | head -n 3); fi; \
	$(PY) demo.py "$$@" --model $(MODEL) --out $(OUT)/demo --json $(OUT)/demo/landmarks.jsonl $(OWN_FLAGS)
	@echo "drawn pictures: $(OUT)/demo/, their points $(OUT)/demo/landmarks.jsonl"
	@echo "frozen graph:   $(MODEL), its card $(MODEL:.pb=.json)"
	@echo "scores:         $(MODEL:.pb=-scores.json), $(MODEL:.pb=-ced.png)"

# Built against the system's OpenCV, not the environment's, which has no C++ headers.
cpp:  ## the C++ program of examples/cpp: out/cpp/landmarks
	@command -v cmake >/dev/null || \
	  { echo "error: cmake is missing (Debian: cmake g++ libopencv-dev)" >&2; exit 2; }
	cmake -S examples/cpp -B $(OUT)/cpp
	cmake --build $(OUT)/cpp

compare: setup $(RECORDS)/manifest.json  ## train every system on the same pictures, table and plot
	$(PY) -m benchmarks.compare --records $(RECORDS) --out $(OUT)/compare $(OWN_FLAGS)

test: setup  ## the tests, two at a time
	$(PY) -m pytest -n 2 --dist loadfile

lint: setup  ## ruff
	$(VENV)/bin/ruff check . && $(VENV)/bin/ruff format --check .

bench:  ## the benchmarks that need no more than data
	@$(MAKE) --no-print-directory bench-prep

bench-prep: setup $(if $(DATA),,sample)  ## pictures a second by processes, against a bare loop
	$(PY) -m benchmarks.bench_prepare --data $(firstword $(SOURCE)) $(OWN_FLAGS)

bench-inference: setup $(MODEL)  ## milliseconds of senet.pb and MODELS= in every engine
	$(PY) -m benchmarks.bench_inference $(MODEL) $(MODELS) --records $(RECORDS) $(OWN_FLAGS)

bench-training: setup $(RECORDS)/manifest.json  ## pictures a second of every network's training
	$(PY) -m benchmarks.bench_training --records $(RECORDS) $(OWN_FLAGS)

lock: setup  ## renew requirements/*.txt from pyproject.toml
	$(PY) -m pip install --quiet uv
	for kind in cpu cuda; do $(VENV)/bin/uv pip compile --quiet --upgrade --universal \
	  --python-version 3.10 --generate-hashes --no-header --no-annotate --extra $$kind \
	  --extra cluster --extra dev --extra export \
	  pyproject.toml -o requirements/$$kind.txt || exit 1; done

clean:  ## remove what the stages wrote in out/
	rm -rf $(OUT)
