"""The sides of the train/val/test split; a record folder has shards for each of them."""

from typing import Literal, get_args

Side = Literal["train", "val", "test"]
SIDES = get_args(Side)


def trained_sides(train_on_val: bool) -> tuple[Side, ...]:
    """Return the sides that a training learns from."""
    return ("train", "val") if train_on_val else ("train",)
