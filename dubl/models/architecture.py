"""The shape of the compact network, which its implementations by torch and by OpenVINO share."""

from __future__ import annotations

FRAME_SIZE = 160
DESCRIPTOR_DIMS = 256
GRID = 3
REGION_DIMS = 128
GEM_POWER = 3.0
# (expansion, channels, blocks, stride) of each stage; its first block carries the stride.
STAGES: tuple[tuple[tuple[int, int, int, int], ...], ...] = (
    ((1, 16, 1, 1),),
    ((6, 24, 2, 2),),
    ((6, 32, 3, 2),),
    ((6, 64, 4, 2), (6, 96, 3, 1)),
    ((6, 160, 3, 2), (6, 320, 1, 1)),
)
STEM_CHANNELS = 32
LAST_CHANNELS = 1280
REGION_CHANNELS = 32 + 96 + LAST_CHANNELS
