"""The settings by which a face is read and cropped, which every process of a preparation gets."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from senet_kp.face.facebox import BoxRule
from senet_kp.face.scheme import LandmarkScheme
from senet_kp.tfrecords.schema import Encoding

LabelPixels = Literal["format", "stored", "upright"]


@dataclass(frozen=True)
class CropRule:
    """The settings by which a face is cropped to a record; see PrepareConfig."""

    box: BoxRule
    context: float
    jpeg_quality: int
    scheme: LandmarkScheme
    encoding: Encoding = "jpeg"
    label_pixels: LabelPixels = "format"
    keep_out: tuple[Path, ...] = ()

    @property
    def stored_px(self) -> int:
        """Width and height of the stored picture: the face box and the context around it."""
        return round(self.box.size_px * self.context)
