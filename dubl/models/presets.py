"""Published models that a user may fetch: none is shipped.

One of the ViSiL family is made of up to three files that their authors publish: the comparator,
torchvision's ResNet50, and the PCA whitening of its regions. SSCD is one file: a frame network.
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
    """What its authors publish: a comparator and how to build the network for it, or, without a
    `config`, a frame network."""

    name: str
    file: PublishedFile
    config: VisilConfig | None

    @property
    def whitened(self) -> bool:
        """Whether it reads whitened regions rather than plain ones."""
        return self.config is not None and self.config.dims < REGION_CHANNELS

    @property
    def files(self) -> tuple[PublishedFile, ...]:
        if self.config is None:
            return (self.file,)
        return (self.file, RESNET50, *((WHITENING,) if self.whitened else ()))


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


def _preset(
    name: str, *, place: str, terms: str, data: str, config: VisilConfig | None = None
) -> Preset:
    file = PublishedFile(url=f"{place}/{name}.pth", license=terms, training_data=data)
    return Preset(name=name, file=file, config=config or VisilConfig())


_DISTILLED = "DnS-100K, distilled from ViSiL"
_PLAIN = VisilConfig(dims=REGION_CHANNELS, attention="unit", padding="replicate")
_SYMMETRIC = VisilConfig(dims=512, attention="unit", padding="replicate", symmetric=True)
_BINARY = VisilConfig(attention="none", bits=512)
_VCDB = "distractors of VCDB, without labels"
_TABLE = (
    _preset("s2vs_dns", place=_S2VS, terms="MIT", data="DnS-100K, without labels"),
    _preset("s2vs_vcdb", place=_S2VS, terms="MIT", data=_VCDB),
    _preset("visil", place=_VISIL, terms="Apache-2.0", data="VCDB", config=_PLAIN),
    _preset("visil_symmetric", place=_VISIL, terms="Apache-2.0", data="VCDB", config=_SYMMETRIC),
    _preset("dns_fg_att_student", place=_DNS, terms="Apache-2.0", data=_DISTILLED),
    _preset("dns_fg_bin_student", place=_DNS, terms="Apache-2.0", data=_DISTILLED, config=_BINARY),
    Preset(
        name="sscd",
        file=PublishedFile(
            url="https://dl.fbaipublicfiles.com/sscd-copy-detection/sscd_disc_mixup.torchvision.pt",
            license="MIT",
            training_data="pictures of DISC21, without labels",
        ),
        config=None,
    ),
)

PRESETS: Mapping[str, Preset] = MappingProxyType({preset.name: preset for preset in _TABLE})


def find_preset(name: str) -> Preset:
    """Raises WeightsUnavailable with the known names."""
    if name not in PRESETS:
        raise WeightsUnavailable(f"unknown published weights {name!r}; known: {', '.join(PRESETS)}")
    return PRESETS[name]
