"""Preparation: turns data sets in many formats into records of cropped faces."""

from pathlib import Path

# Modules under their former names, so that `python -m data_prep.beam_prepare` keeps working.
__path__.append(str(Path(__file__).resolve().parent / "former_names"))
