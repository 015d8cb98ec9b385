"""How large a run is; the code is the same for all sizes."""

from dataclasses import dataclass
from typing import Any

from .. import augment
from ..training import Plan


@dataclass(frozen=True)
class Preset:
    """Sizes of a run."""

    name: str
    size: tuple[int, int]  # (height, width) of a picture
    trunk: str  # see backbones.make_trunk
    lr: float  # learning rate; chosen on drawn validation places
    places: int  # places to train in
    people: int  # of each place
    cameras: int  # of each place
    pictures: int  # of each person and camera
    unseen_places: int
    exam_people: int  # of each place, other people than those trained on
    steps: int
    batch_people: int  # P
    batch_pictures: int  # K
    minutes: float  # a chapter's computing; "laptop" on two cores

    def plan(self, seed: int = 0, **changes: Any) -> Plan:
        """How a training of this size goes.

        Args:
            seed: of batches and augmentation.
            **changes: other fields of the plan.
        """
        fields = {
            "steps": self.steps,
            "people": self.batch_people,
            "pictures": self.batch_pictures,
            "lr": self.lr,
            "augment": augment.standard,
            "seed": seed,
        }
        return Plan(**fields | changes)


SMOKE = Preset(
    name="smoke",
    size=(64, 32),
    trunk="tiny",
    lr=3e-3,
    places=2,
    people=8,
    cameras=3,
    pictures=2,
    unseen_places=2,
    exam_people=6,
    steps=6,
    batch_people=8,
    batch_pictures=2,
    minutes=0.3,
)
LAPTOP = Preset(
    name="laptop",
    size=(64, 32),
    trunk="tiny",
    lr=3e-3,
    places=6,
    people=50,
    cameras=4,
    pictures=2,
    unseen_places=4,
    exam_people=15,
    steps=400,
    batch_people=16,
    batch_pictures=4,
    minutes=1.5,
)
GPU = Preset(
    name="gpu",
    size=(256, 128),
    trunk="resnet50",
    lr=3.5e-4,
    places=16,
    people=100,
    cameras=6,
    pictures=4,
    unseen_places=8,
    exam_people=50,
    steps=6000,
    batch_people=16,
    batch_pictures=4,
    minutes=15,
)
PRESETS = {preset.name: preset for preset in (SMOKE, LAPTOP, GPU)}
