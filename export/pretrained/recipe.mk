# The shipped graphs from data to graph: `make pretrained SETS=folder`. A stage that was stopped is
# resumed, and one that is complete is not repeated. SETS holds 300W_LP (the photos of HELEN, AFW and
# LFPW in the layout of 300W-LP), P1_Facial_Keypoints and AFLW21 (crops of AFLW; see docs/data.md);
# the photos of AFLW2000, if it is there, are kept out of all trainings on turned heads.
# The frontal.pb of the shipped graphs learned from HELEN, AFW and P1: LFPW was not there yet.

ifeq ($(SETS),)
$(error name the folder of the data sets: make pretrained SETS=folder)
endif

VIEWS   := $(OUT)/views
RENDERS := $(OUT)/renders
TURNED  := $(VIEWS)/views.json $(RENDERS)/sample.json
FRONTAL := --batch-size 64 --schedule cosine --validate-every-steps 250
# Of box-jitter 0.6 for the boxes on frontal faces: dlib's vary 1.4 times as much on turned ones.
ALL_POSES := --train-on-val --augment.box-jitter 0.42 --validate-every-steps 1000
# The pictures that the graphs are measured on, if they are there.
KEPT     := $(if $(wildcard $(SETS)/AFLW2000),$(OUT)/aflw2000/manifest.json)
KEEP_OUT := $(if $(KEPT),--keep-out $(OUT)/aflw2000)

.PHONY: graphs
.SECONDARY:
graphs: $(OUT)/senet68.pb $(OUT)/senet68-3d.pb

# --- frontal.pb: a network for faces that look at the camera, from which both graphs start ---

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

$(OUT)/frontal.pb: $(OUT)/mirrored.done
	$(KP) freeze --run $(OUT)/mirrored --records $(OUT)/frontal-128 --out $@

# --- turned heads: views of the photos, rendered faces, and AFLW ---

$(VIEWS)/views.json:
	$(KP) profile-views $(SETS)/300W_LP --out $(VIEWS)

$(RENDERS)/sample.json:
	$(KP) sample --out $(RENDERS) --count 6000 --views 6 --seed 1

$(OUT)/aflw2000/manifest.json:
	$(KP) prepare --data $(SETS)/AFLW2000 --test-share 1 --detector-pictures 0 --out $(@D)

# --- senet68.pb: the jaw follows the visible contour ---

$(OUT)/turned/manifest.json: $(TURNED) $(KEPT)
	$(KP) prepare --data $(VIEWS) $(RENDERS) $(SETS)/AFLW21 $(SETS)/P1_Facial_Keypoints \
	  --scheme ibug68 --points pts_2d $(KEEP_OUT) --out $(@D)

# First all poses alike, with all labels brought to HELEN's habit; then mostly upright photos, each
# with the habit of its own set.
$(OUT)/turned.done: $(OUT)/turned/manifest.json $(OUT)/frontal.pb
	$(KP) train --records $(<D) --run $(OUT)/run-turned --init-from $(OUT)/frontal.pb --steps 8000 \
	  --learning-rate 2e-3 --subset-shares SAMPLE 0.2 AFLW 0.2 P1 0.2 --yaw-shares 2 1 1 \
	  --reference-subset HELEN $(ALL_POSES)
	touch $@

$(OUT)/visible.done: $(OUT)/turned/manifest.json $(OUT)/turned.done
	$(KP) train --records $(<D) --run $(OUT)/run-visible --init-from $(OUT)/run-turned --steps 13000 \
	  --learning-rate 1.5e-3 --schedule cosine --subset-shares SAMPLE 0.06 AFLW 0.06 P1 0.28 \
	  --yaw-shares 5 1 1 $(ALL_POSES)
	touch $@

$(OUT)/senet68.pb: $(OUT)/visible.done
	$(KP) freeze --run $(OUT)/run-visible --records $(OUT)/turned --normaliser box --out $@

# --- senet68-3d.pb: all points are those of a head model ---

# AFLW's points are places on the head, so they fit both meanings of the 68 landmarks.
$(OUT)/3d/manifest.json: $(TURNED) $(KEPT)
	$(KP) prepare --data $(VIEWS) $(RENDERS) $(SETS)/AFLW21 --scheme ibug68 --points pts_3d \
	  $(KEEP_OUT) --out $(@D)

$(OUT)/run-3d.done: $(OUT)/3d/manifest.json $(OUT)/frontal.pb
	$(KP) train --records $(<D) --run $(OUT)/run-3d --init-from $(OUT)/frontal.pb --steps 8000 \
	  --learning-rate 2e-3 --train-on-val --subset-shares SAMPLE 0.25 AFLW 0.25 \
	  --yaw-shares 2 1 1 --reference-subset HELEN --validate-every-steps 1000
	touch $@

$(OUT)/senet68-3d.pb: $(OUT)/run-3d.done
	$(KP) freeze --run $(OUT)/run-3d --records $(OUT)/3d --normaliser box --out $@
