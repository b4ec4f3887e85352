"""What distinguishes the members of the ViSiL family. Needs no torch."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Literal

from dubl.models.cards import ModelCard

AttentionKind = Literal["none", "s2vs", "norm", "unit"]
Padding = Literal["zeros", "replicate"]

# What L-iMAC takes from ResNet50's four stages.
STAGE_CHANNELS = (256, 512, 1024, 2048)
REGION_CHANNELS = sum(STAGE_CHANNELS)


@dataclass(frozen=True, slots=True, kw_only=True)
class VisilConfig:
    """What distinguishes the members of the family.

    attention: "s2vs" is sigmoid(v·tanh(Wx + b)); "norm" is (v·x / ‖v‖) / 2 + 1/2; "unit" is the
    same without the division, for the original ViSiL weights, which were kept at ‖v‖ = 1.
    bits: 0 keeps real features, else features become that many signs (excludes attention).
    symmetric: Chamfer similarities are averaged over both directions.
    padding: how the comparator pads when it pools ("replicate": original ViSiL).
    """

    dims: int = 512
    attention: AttentionKind = "s2vs"
    bits: int = 0
    symmetric: bool = False
    padding: Padding = "zeros"

    def __post_init__(self) -> None:
        if self.bits and self.attention != "none":
            raise ValueError("binarized features take no attention: set attention to 'none'")
        if self.dims < 1 or self.bits < 0:
            raise ValueError(f"dims must be positive and bits not negative: {self}")


def config_of(card: ModelCard) -> VisilConfig:
    """The config in a comparator's card; cards without one are of S2VS, as wide as the regions.

    Raises TypeError or ValueError when the card has no such thing.
    """
    known = {field.name for field in fields(VisilConfig)}
    values: dict[str, object] = {"dims": card.feature.get("region_dims")}
    values |= {name: value for name, value in card.feature.items() if name in known}
    return VisilConfig(**values)  # type: ignore[arg-type]  # JSON; the class checks it
