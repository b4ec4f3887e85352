"""The edit of coding: the same pictures through another codec."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from dubl.footage.clips import Clip
from dubl.footage.edits.edit import Draw, EditedClip, Family, edit, whole
from dubl.footage.video_file import Codec, Encoding

MIN_HEVC_SIDE = 64  # pixels; x265 writes past its buffers on pictures below some 50 (measured)
# Usual and worst quality of each codec, on its own scale.
_QUALITY: Mapping[Codec, tuple[int, int]] = MappingProxyType(
    {"h264": (28, 42), "hevc": (30, 44), "vp9": (38, 60), "mpeg4": (6, 24)}
)


@edit(Family.CODING, "H.264, HEVC, VP9 or MPEG-4 at a low quality")
def recode(clip: Clip, draw: Draw) -> EditedClip:
    """The picture itself is untouched: who writes the clip codes it so."""
    fitting = [name for name in _QUALITY if name != "hevc" or min(clip.size) >= MIN_HEVC_SIDE]
    codec = fitting[int(draw.rng.integers(len(fitting)))]
    quality = round(draw.between(*_QUALITY[codec]))
    encoding = Encoding(codec=codec, quality=quality)
    return EditedClip(clip=clip, spans=whole(clip), encoding=encoding)
