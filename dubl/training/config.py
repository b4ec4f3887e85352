"""Settings of a training run, as configs/train_descriptor.yaml has them."""

from __future__ import annotations

import re
from functools import partial
from pathlib import Path
from typing import TypeVar

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from dubl.errors import ConfigurationError
from dubl.models.devices import DeviceChoice

Config = TypeVar("Config", bound=BaseModel)


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class LicenseSettings(_Part):
    """Regular expressions on the license field, without case, used when `clear_only` is set."""

    clear_only: bool = False
    allow: tuple[str, ...] = ()
    deny: tuple[str, ...] = ()

    def keeps(self, text: str, tier: str = "A") -> bool:
        """Whether a license matches an `allow` pattern (all do, if there is none) and no `deny`.

        Where there are `allow` patterns, an entry's tier must be A: its license covers the picture
        itself.
        """
        if not self.clear_only:
            return True
        found = partial(re.search, string=text, flags=re.IGNORECASE)
        allowed = not self.allow or (tier == "A" and any(map(found, self.allow)))
        return allowed and not any(map(found, self.deny))


class DataSettings(_Part):
    """What goes into a pack of pictures, and which sources are held out.

    images: tars of JPEG pictures, each with its index beside it, NAME.json. videos: folders with
    manifest.json. stickers, fonts: folders of PNG pictures with alpha and of TrueType fonts; None
    draws simple ones. Entries of a split other than `train` stay out. With `pack`, a folder that
    `pipelines.train pack` has made, nothing else here is read.
    """

    pack: Path | None = None
    images: tuple[Path, ...] = ()
    videos: tuple[Path, ...] = ()
    procedural: int = Field(default=0, ge=0)
    stickers: Path | None = None
    fonts: Path | None = None
    size: int = Field(default=176, ge=72)
    licenses: LicenseSettings = LicenseSettings()
    validation_repositories: tuple[str, ...] = ()


class ViewSettings(_Part):
    """Strength of the strong views and sizes in pixels (multiples of 8)."""

    strength: float = Field(default=1.0, ge=0, le=1)
    first_size: int = Field(default=128, multiple_of=8, ge=72)
    last_size: int = Field(default=160, multiple_of=8, ge=72)
    last_size_share: float = Field(default=0.35, ge=0, le=1)


class OptimizerSettings(_Part):
    """AdamW with warm-up and cosine; `frozen_stages` of the five keep their weights."""

    head_rate: float = Field(default=5e-4, gt=0)
    backbone_rate: float = Field(default=2e-4, gt=0)
    weight_decay: float = Field(default=0.01, ge=0)
    warmup_steps: int = Field(default=150, ge=1)
    frozen_stages: int = Field(default=2, ge=0, le=5)
    gradient_norm: float = Field(default=2.0, gt=0)
    average_decay: float = Field(default=0.995, ge=0, lt=1)


class LossSettings(_Part):
    """Temperatures and weights of the terms of dubl.training.trainer, and its queue of keys."""

    temperature: float = Field(default=0.05, gt=0)
    entropy: float = Field(default=5.0, ge=0)
    common: float = Field(default=2.0, ge=0)
    region_temperature: float = Field(default=0.07, gt=0)
    regions: float = Field(default=0.5, ge=0)
    queue: int = Field(default=16384, ge=1)


class RunLength(_Part):
    """A run ends after `steps` or `time_limit_s`, whichever comes first; how often it does what, in
    steps."""

    steps: int = Field(ge=1)
    time_limit_s: float = Field(default=86400.0, gt=0)
    seed: int = 0
    threads: int = Field(default=1, ge=1)
    log_every: int = Field(ge=1)
    checkpoint_every: int = Field(ge=1)


class RunSettings(RunLength):
    """`device`: "auto" takes a GPU where there is one; there, networks run in bfloat16."""

    steps: int = Field(default=4000, ge=1)
    batch_size: int = Field(default=64, ge=2)
    scene_share: float = Field(default=0.4, ge=0, le=1)
    device: DeviceChoice = "auto"
    log_every: int = Field(default=20, ge=1)
    checkpoint_every: int = Field(default=100, ge=1)
    validate_every_s: float = Field(default=900.0, ge=0)


class TrainingConfig(_Part):
    """Everything that a run depends on.

    It starts from `weights` (a folder with weights and their card), or from nothing.
    """

    weights: Path | None = None
    data: DataSettings = DataSettings()
    views: ViewSettings = ViewSettings()
    optimizer: OptimizerSettings = OptimizerSettings()
    loss: LossSettings = LossSettings()
    run: RunSettings = RunSettings()


class ClipSettings(_Part):
    """Clips for the comparator: where they come from, how many, and what is held out.

    `images` is a tar of pictures, from which `picture_clips` films are made; `versions` of each
    clip are embedded beside the original.
    """

    videos: Path | None = None
    images: Path | None = None
    scenes: int = Field(default=30, ge=0)
    picture_clips: int = Field(default=90, ge=0)
    validation_scenes: int = Field(default=10, ge=0)
    validation_share: float = Field(default=0.2, gt=0, lt=1)
    validation_repositories: tuple[str, ...] = ()
    licenses: LicenseSettings = LicenseSettings()
    versions: int = Field(default=4, ge=1)
    min_frames: int = Field(default=16, ge=4)
    max_frames: int = Field(default=32, ge=4)
    strength: float = Field(default=1.0, ge=0, le=1)


class ComparatorRunSettings(RunLength):
    """A batch holds `clips` of them, twice each."""

    steps: int = Field(default=500, ge=1)
    clips: int = Field(default=12, ge=2)
    frames: tuple[int, ...] = (8, 12, 16)
    scene_share: float = Field(default=0.5, ge=0, le=1)
    learning_rate: float = Field(default=1e-3, gt=0)
    weight_decay: float = Field(default=0.01, ge=0)
    warmup_steps: int = Field(default=50, ge=1)
    temperature: float = Field(default=0.03, gt=0)
    gradient_norm: float = Field(default=1.0, gt=0)
    log_every: int = Field(default=10, ge=1)
    checkpoint_every: int = Field(default=50, ge=1)
    validate_every: int = Field(default=100, ge=1)


class ComparatorConfig(_Part):
    """Training of attention and comparator on the features of `weights`.

    `weights`: name of shipped weights, or a model's folder.
    """

    weights: str = "dubl-compact"
    clips: ClipSettings = ClipSettings()
    run: ComparatorRunSettings = ComparatorRunSettings()


def parse_config(kind: type[Config], text: str) -> Config:
    """Reads YAML. Raises ConfigurationError that names the key which is wrong."""
    try:
        return kind.model_validate(yaml.safe_load(text) or {})
    except yaml.YAMLError as exc:
        raise ConfigurationError("the training configuration is not valid YAML") from exc
    except ValidationError as exc:
        first = exc.errors()[0]
        key = ".".join(str(part) for part in first["loc"])
        raise ConfigurationError(f"training configuration, {key}: {first['msg']}") from exc
