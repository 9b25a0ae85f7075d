# The shipped graphs from data to graph: `make pretrained SETS=folder`. A stage that was stopped is
# resumed, and one that is complete is not repeated. SETS holds 300W_LP (the photos of HELEN, AFW and
# LFPW in the layout of 300W-LP), P1_Facial_Keypoints and AFLW21 (crops of AFLW; see docs/data.md).
# senet68.pb learned from HELEN and AFW alone: LFPW was not there yet.

ifeq ($(SETS),)
$(error name the folder of the data sets: make pretrained SETS=folder)
endif

VIEWS   := $(OUT)/views
RENDERS := $(OUT)/renders
TURNED  := $(VIEWS)/views.json $(RENDERS)/sample.json
FRONTAL := --batch-size 64 --schedule cosine --validate-every-steps 250

.PHONY: graphs
.SECONDARY:
graphs: $(OUT)/senet68.pb $(OUT)/senet68-3d.pb

# --- senet68.pb: the jaw follows the visible contour ---

$(OUT)/frontal-%/manifest.json:
	$(KP) prepare --data $(SETS)/300W_LP $(SETS)/P1_Facial_Keypoints --box.size-px $* --out $(@D)

# What the network learns on 96-px crops costs half as much as at 128 px.
$(OUT)/small.done: $(OUT)/frontal-96/manifest.json
	$(KP) train --records $(<D) --run $(OUT)/small --steps 7500 --learning-rate 3e-3 \
	  --no-mirror-offsets $(FRONTAL)
	touch $@

$(OUT)/large.done: $(OUT)/frontal-128/manifest.json $(OUT)/small.done
	$(KP) train --records $(<D) --run $(OUT)/large --init-from $(OUT)/small --steps 2500 \
	  --learning-rate 1.5e-3 --warmup-steps 50 --no-mirror-offsets $(FRONTAL)
	touch $@

$(OUT)/upright.done: $(OUT)/frontal-128/manifest.json $(OUT)/large.done
	$(KP) train --records $(<D) --run $(OUT)/upright --init-from $(OUT)/large --steps 3000 \
	  --learning-rate 1e-3 --warmup-steps 50 --augment.flip 0 $(FRONTAL)
	touch $@

$(OUT)/mirrored.done: $(OUT)/frontal-128/manifest.json $(OUT)/upright.done
	$(KP) train --records $(<D) --run $(OUT)/mirrored --init-from $(OUT)/upright --steps 3400 \
	  --learning-rate 1.5e-3 --train-on-val $(FRONTAL)
	touch $@

$(OUT)/senet68.pb: $(OUT)/mirrored.done
	$(KP) freeze --run $(OUT)/mirrored --records $(OUT)/frontal-128 --out $@

# --- senet68-3d.pb: all points are those of a head model ---

$(VIEWS)/views.json:
	$(KP) profile-views $(SETS)/300W_LP --out $(VIEWS)

$(RENDERS)/sample.json:
	$(KP) sample --out $(RENDERS) --count 6000 --views 6 --seed 1

# AFLW's points are places on the head, so they fit both meanings of the 68 landmarks.
$(OUT)/3d/manifest.json: $(TURNED)
	$(KP) prepare --data $(VIEWS) $(RENDERS) $(SETS)/AFLW21 --scheme ibug68 --points pts_3d --out $(@D)

$(OUT)/run-3d.done: $(OUT)/3d/manifest.json $(OUT)/senet68.pb
	$(KP) train --records $(<D) --run $(OUT)/run-3d --init-from $(OUT)/senet68.pb --steps 8000 \
	  --learning-rate 2e-3 --train-on-val --subset-shares SAMPLE 0.25 AFLW 0.25 \
	  --yaw-shares 2 1 1 --reference-subset HELEN --validate-every-steps 1000
	touch $@

$(OUT)/senet68-3d.pb: $(OUT)/run-3d.done
	$(KP) freeze --run $(OUT)/run-3d --records $(OUT)/3d --normaliser box --out $@
