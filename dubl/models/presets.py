"""Published models of the ViSiL family, which a user may fetch: none is shipped.

A model is made of up to three files that their authors publish: the comparator of this table,
torchvision's ResNet50, and the PCA whitening of its regions.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from dubl.errors import WeightsUnavailable
from dubl.models.visil_config import REGION_CHANNELS, VisilConfig


@dataclass(frozen=True, slots=True, kw_only=True)
class PublishedFile:
    """A file, its terms and what it was trained on. `sha256_start`: how its sha256 begins, where
    the publisher says so."""

    url: str
    license: str
    training_data: str
    sha256_start: str = ""

    @property
    def name(self) -> str:
        return self.url.rsplit("/", 1)[-1]


@dataclass(frozen=True, slots=True, kw_only=True)
class Preset:
    """A comparator that its authors publish, and how to build the network for it."""

    name: str
    comparator: PublishedFile
    config: VisilConfig

    @property
    def whitened(self) -> bool:
        """Whether it reads whitened regions rather than plain ones."""
        return self.config.dims < REGION_CHANNELS

    @property
    def files(self) -> tuple[PublishedFile, ...]:
        return (self.comparator, RESNET50, *((WHITENING,) if self.whitened else ()))


RESNET50 = PublishedFile(
    url="https://download.pytorch.org/models/resnet50-0676ba61.pth",
    license="BSD-3-Clause (torchvision)",
    training_data="ImageNet-1k, with labels",
    sha256_start="0676ba61",
)
WHITENING = PublishedFile(
    url="http://ndd.iti.gr/visil/pca_resnet50_vcdb_1M.pth",
    license="none stated",
    training_data="a million regions of VCDB",
)

_S2VS = "https://mever.iti.gr/s2vs/weights"
_DNS = "https://mever.iti.gr/distill-and-select/models"
_VISIL = "http://ndd.iti.gr/visil"

_TABLE = (
    Preset(
        name="s2vs_dns",
        comparator=PublishedFile(
            url=f"{_S2VS}/s2vs_dns.pth",
            license="MIT",
            training_data="DnS-100K, without labels",
        ),
        config=VisilConfig(),
    ),
    Preset(
        name="s2vs_vcdb",
        comparator=PublishedFile(
            url=f"{_S2VS}/s2vs_vcdb.pth",
            license="MIT",
            training_data="distractors of VCDB, without labels",
        ),
        config=VisilConfig(),
    ),
    Preset(
        name="visil",
        comparator=PublishedFile(
            url=f"{_VISIL}/visil.pth", license="Apache-2.0", training_data="VCDB"
        ),
        config=VisilConfig(dims=REGION_CHANNELS, attention="unit", padding="replicate"),
    ),
    Preset(
        name="visil_symmetric",
        comparator=PublishedFile(
            url=f"{_VISIL}/visil_symmetric.pth", license="Apache-2.0", training_data="VCDB"
        ),
        config=VisilConfig(dims=512, attention="unit", padding="replicate", symmetric=True),
    ),
    Preset(
        name="dns_fg_att_student",
        comparator=PublishedFile(
            url=f"{_DNS}/dns_fg_att_student.pth",
            license="Apache-2.0",
            training_data="DnS-100K, distilled from ViSiL",
        ),
        config=VisilConfig(),
    ),
    Preset(
        name="dns_fg_bin_student",
        comparator=PublishedFile(
            url=f"{_DNS}/dns_fg_bin_student.pth",
            license="Apache-2.0",
            training_data="DnS-100K, distilled from ViSiL",
        ),
        config=VisilConfig(attention="none", bits=512),
    ),
)

PRESETS: Mapping[str, Preset] = MappingProxyType({preset.name: preset for preset in _TABLE})


def find_preset(name: str) -> Preset:
    """Raises WeightsUnavailable with the known names."""
    if name not in PRESETS:
        raise WeightsUnavailable(f"unknown published weights {name!r}; known: {', '.join(PRESETS)}")
    return PRESETS[name]
