# The shipped graphs from data to graph: `make pretrained SETS=folder`. A stage that was stopped is
# resumed, and one that is complete is not repeated. SETS holds 300W_LP (the photos of HELEN, AFW and
# LFPW in the layout of 300W-LP), P1_Facial_Keypoints and AFLW21 (crops of AFLW; see docs/data.md).

ifeq ($(SETS),)
$(error name the folder of the data sets: make pretrained SETS=folder)
endif

VIEWS   := $(OUT)/views
RENDERS := $(OUT)/renders
TURNED  := $(VIEWS)/views.json $(RENDERS)/sample.json
# Renders and AFLW's turned crops have a quarter of a batch each; of all faces half look ahead.
TRAIN   := --train-on-val --subset-shares SAMPLE 0.25 AFLW 0.25 --yaw-shares 2 1 1 \
           --reference-subset HELEN

.PHONY: graphs
.SECONDARY:
graphs: $(OUT)/senet68.pb $(OUT)/senet68-3d.pb

$(VIEWS)/views.json:
	$(KP) profile-views $(SETS)/300W_LP --out $(VIEWS)

$(RENDERS)/sample.json:
	$(KP) sample --out $(RENDERS) --count 12000 --views 6 --seed 1

# AFLW's points are those of the head, so they belong to both meanings of the 68 landmarks.
$(OUT)/visible-%/manifest.json: $(TURNED)
	$(KP) prepare --data $(VIEWS) $(RENDERS) $(SETS)/AFLW21 $(SETS)/P1_Facial_Keypoints \
	  --scheme ibug68 --points pts_2d --box.size-px $* --out $(@D)

$(OUT)/3d-%/manifest.json: $(TURNED)
	$(KP) prepare --data $(VIEWS) $(RENDERS) $(SETS)/AFLW21 \
	  --scheme ibug68 --points pts_3d --box.size-px $* --out $(@D)

# What the network learns on 96-px crops costs half as much as at 128 px.
$(OUT)/run-96.done: $(OUT)/visible-96/manifest.json
	$(KP) train --records $(<D) --run $(OUT)/run-96 --steps 16000 $(TRAIN)
	touch $@

$(OUT)/run-128.done: $(OUT)/visible-128/manifest.json $(OUT)/run-96.done
	$(KP) train --records $(<D) --run $(OUT)/run-128 --init-from $(OUT)/run-96 --steps 14000 \
	  --learning-rate 2e-3 $(TRAIN)
	touch $@

# Apart from the jaw, both graphs have to learn the same.
$(OUT)/run-3d.done: $(OUT)/3d-128/manifest.json $(OUT)/senet68.pb
	$(KP) train --records $(<D) --run $(OUT)/run-3d --init-from $(OUT)/senet68.pb --steps 10000 \
	  --learning-rate 2e-3 $(TRAIN)
	touch $@

$(OUT)/senet68.pb: $(OUT)/run-128.done
	$(KP) freeze --run $(OUT)/run-128 --records $(OUT)/visible-128 --out $@

$(OUT)/senet68-3d.pb: $(OUT)/run-3d.done
	$(KP) freeze --run $(OUT)/run-3d --records $(OUT)/3d-128 --out $@
