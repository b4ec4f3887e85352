"""Procedural still pictures with detail at every scale, in numpy and Pillow.

Each painter takes a size (width, height) and a random generator and returns an RGB picture.
"Dead leaves" follows Lee, Mumford, Huang, "Occlusion models for natural images" (IJCV 2001):
opaque shapes whose radii have density r^-3 give the statistics of natural images.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from PIL import Image as PillowImage
from PIL import ImageDraw, ImageFont

from dubl.footage.video_file import Image, Size

Color = tuple[int, int, int]
Field = NDArray[np.float32]  # [H, W]
Painter = Callable[[Size, np.random.Generator], PillowImage.Image]

_SYLLABLES = (
    *("ka", "lo", "mi", "ter", "an", "sel", "ro", "vi", "den", "po"),
    *("tra", "lun", "es", "gar", "pi", "mo", "be", "qui", "nor", "sta"),
)


def words(count: int, rng: np.random.Generator) -> str:
    """Invents `count` words."""
    return " ".join("".join(rng.choice(_SYLLABLES, size=rng.integers(1, 4))) for _ in range(count))


def palette(count: int, rng: np.random.Generator) -> NDArray[np.uint8]:
    """Draws `count` colors around one or two hues: uint8 [count, 3]."""
    hues = (rng.uniform() + rng.choice([0.0, 0.35, 0.5]) * rng.integers(0, 2, count)) % 1
    hues = (hues + rng.normal(0, 0.05, count)) % 1
    saturation = np.clip(rng.normal(0.5, 0.25, count), 0, 1)
    value = rng.uniform(0.1, 1.0, count)
    wheel = np.abs((hues[:, None] * 6 + np.array([0, 4, 2])) % 6 - 3) - 1
    colors = value[:, None] * (1 + saturation[:, None] * (np.clip(wheel, 0, 1) - 1))
    drawn: NDArray[np.uint8] = (colors * 255).astype(np.uint8)
    return drawn


def as_color(values: NDArray[np.uint8]) -> Color:
    """A row uint8 [3] as Pillow takes it."""
    return int(values[0]), int(values[1]), int(values[2])


def value_noise(size: Size, rng: np.random.Generator, *, cell: float, octaves: int) -> Field:
    """Sums smooth random fields, each half as wide and half as strong: [H, W] in 0..1.

    cell: pixels between the random values of the coarsest field.
    """
    width, height = size
    total = np.zeros((height, width), dtype=np.float32)
    for octave in range(octaves):
        step = max(cell / 2**octave, 1.0)
        grid = rng.random((int(height / step) + 2, int(width / step) + 2), dtype=np.float32)
        smooth = PillowImage.fromarray(grid).resize(size, PillowImage.Resampling.BICUBIC)
        total += np.asarray(smooth) / 2**octave
    low, high = float(total.min()), float(total.max())
    return (total - low) / max(high - low, 1e-6)


def dead_leaves(size: Size, rng: np.random.Generator) -> PillowImage.Image:
    """Opaque discs, boxes and polygons over each other."""
    colors = palette(24, rng)
    picture = PillowImage.new("RGB", size, as_color(colors[0]))
    draw = ImageDraw.Draw(picture)
    radii = np.clip(6 / np.sqrt(rng.uniform(0.002, 1, 900)), 6, 140)
    for radius in radii:
        x, y = rng.uniform(0, size[0]), rng.uniform(0, size[1])
        fill = as_color(colors[rng.integers(len(colors))])
        shape = rng.integers(3)
        if shape == 0:
            draw.ellipse((x - radius, y - radius * 0.7, x + radius, y + radius * 0.7), fill=fill)
        elif shape == 1:
            draw.rectangle((x - radius, y - radius / 2, x + radius, y + radius / 2), fill=fill)
        else:
            draw.regular_polygon((x, y, radius), int(rng.integers(3, 7)), int(x) % 90, fill=fill)
    return _grained(picture, rng, 18)


def terrain(size: Size, rng: np.random.Generator) -> PillowImage.Image:
    """Hills seen from above: colors by height, light from the side."""
    height = value_noise(size, rng, cell=float(rng.uniform(90, 260)), octaves=7)
    stops = np.sort(rng.uniform(0, 1, 6))
    colors = palette(6, rng).astype(np.float32)
    channels = [np.interp(height, stops, colors[:, band]) for band in range(3)]
    light = 1 + np.clip(np.gradient(height, axis=1) * 40, -0.6, 0.6)
    return _picture(np.stack(channels, axis=2) * light[:, :, None])


def bricks(size: Size, rng: np.random.Generator) -> PillowImage.Image:
    """Rows of bricks, each of its own shade, every other row shifted."""
    colors = palette(9, rng)
    picture = PillowImage.new("RGB", size, as_color(colors[0]))
    draw = ImageDraw.Draw(picture)
    wide, tall, joint = int(rng.integers(40, 110)), int(rng.integers(18, 50)), 3
    for row in range(size[1] // tall + 1):
        for x in range(-(wide // 2) * (row % 2), size[0], wide):
            fill = as_color(colors[rng.integers(1, len(colors))])
            y = row * tall
            draw.rectangle((x, y, x + wide - joint, y + tall - joint), fill=fill)
    return _stained(picture, rng)


def checker(size: Size, rng: np.random.Generator) -> PillowImage.Image:
    """A turned board of two main colors with odd tiles."""
    colors = palette(12, rng)
    side, angle = int(rng.integers(28, 80)), float(rng.uniform(0, np.pi / 2))
    x, y = np.meshgrid(np.arange(size[0]), np.arange(size[1]))
    column = np.floor((x * np.cos(angle) + y * np.sin(angle)) / side).astype(int)
    row = np.floor((y * np.cos(angle) - x * np.sin(angle)) / side).astype(int)
    odd = rng.integers(0, 12, (64, 64))[row % 64, column % 64]
    board = np.where(odd < 8, (row + column) % 2, odd)
    return _stained(PillowImage.fromarray(colors[board]), rng)


def printed_page(size: Size, rng: np.random.Generator) -> PillowImage.Image:
    """A poster of invented words in many sizes over a gradient."""
    colors = palette(5, rng)
    picture = gradient(size, rng)
    draw = ImageDraw.Draw(picture)
    y = 0.0
    while y < size[1]:
        height = float(rng.choice([16, 22, 30, 44, 72]))
        ink = as_color(255 - colors[rng.integers(len(colors))])
        start = rng.uniform(-60, 60)
        draw.text((start, y), words(18, rng), fill=ink, font=ImageFont.load_default(height))
        y += height * 1.3
    return picture


def gradient(size: Size, rng: np.random.Generator) -> PillowImage.Image:
    """Four corner colors mixed over the plane, with a slow swell."""
    corners = PillowImage.fromarray(palette(4, rng).reshape(2, 2, 3))
    smooth = np.asarray(corners.resize(size, PillowImage.Resampling.BICUBIC), dtype=np.float32)
    swell = value_noise(size, rng, cell=200, octaves=2)
    return _picture(smooth * (0.7 + 0.6 * swell[:, :, None]))


def skyline(size: Size, rng: np.random.Generator) -> PillowImage.Image:
    """Houses with lit windows before a graded sky."""
    picture = gradient(size, rng)
    draw = ImageDraw.Draw(picture)
    colors = palette(10, rng)
    for depth in range(3):
        x = -20.0
        while x < size[0]:
            wide = float(rng.uniform(50, 150))
            top = size[1] * float(rng.uniform(0.15, 0.6) + 0.12 * depth)
            _house(draw, (x, top, x + wide, size[1]), colors[rng.permutation(10)[:2]], rng)
            x += wide * float(rng.uniform(0.8, 1.3))
    return _grained(picture, rng, 8)


def marble(size: Size, rng: np.random.Generator) -> PillowImage.Image:
    """Waves bent by noise: veins, water, wood."""
    bend = value_noise(size, rng, cell=float(rng.uniform(80, 220)), octaves=5)
    x, y = np.meshgrid(np.linspace(0, 1, size[0]), np.linspace(0, 1, size[1]))
    angle = rng.uniform(0, np.pi)
    along = x * np.cos(angle) + y * np.sin(angle)
    wave = 0.5 + 0.5 * np.sin(rng.uniform(10, 40) * along + rng.uniform(6, 24) * bend)
    dark, bright = np.sort(palette(2, rng).astype(np.float32), axis=0)
    return _grained(_picture(dark + (bright - dark + 30) * wave[:, :, None]), rng, 12)


def cells(size: Size, rng: np.random.Generator) -> PillowImage.Image:
    """Nearest-seed cells (Voronoi) with dark seams, like stones or leaves' veins."""
    count, low = int(rng.integers(60, 220)), (size[0] // 3, size[1] // 3)
    seeds = rng.uniform(0, 1, (count, 2)) * np.array(low)
    x, y = np.meshgrid(np.arange(low[0], dtype=np.float32), np.arange(low[1], dtype=np.float32))
    nearest = np.full(x.shape, np.inf, dtype=np.float32)
    second, owner = nearest.copy(), np.zeros(x.shape, dtype=int)
    for place, (seed_x, seed_y) in enumerate(seeds):
        away = np.hypot(x - np.float32(seed_x), y - np.float32(seed_y))
        closer = away < nearest
        second = np.where(closer, nearest, np.minimum(second, away))
        nearest, owner = np.where(closer, away, nearest), np.where(closer, place, owner)
    seam = np.clip((second - nearest) / 3, 0.15, 1)[:, :, None]
    colored = _picture(palette(count, rng)[owner] * seam)
    return _stained(colored.resize(size, PillowImage.Resampling.BICUBIC), rng)


def julia(size: Size, rng: np.random.Generator) -> PillowImage.Image:
    """A fractal: detail at every scale."""
    constant = rng.uniform(0.7, 0.9) * np.exp(1j * rng.uniform(0, 2 * np.pi))
    zoom, (x, y) = rng.uniform(0.3, 1.5), rng.uniform(-0.4, 0.4, 2)
    z = (
        np.linspace(x - zoom, x + zoom, size[0])[None]
        + 1j * (np.linspace(y - zoom, y + zoom, size[1])[:, None])
    )
    counts = np.zeros(z.shape)
    for _ in range(40):
        inside = np.abs(z) < 4
        z = np.where(inside, z * z + constant, z)
        counts += inside
    values = counts / 40 + 0.05 * np.abs(z).clip(0, 10)
    phase, frequency = rng.uniform(0, 1, 3), rng.uniform(0.5, 3.0, 3)
    return _picture(127.5 * (1 + np.cos(2 * np.pi * (values[..., None] * frequency + phase))))


def screen(size: Size, rng: np.random.Generator) -> PillowImage.Image:
    """A window as screen recordings show it: title bar, side bar, cards with text or a chart."""
    colors = [as_color(row) for row in palette(12, rng)]
    picture = PillowImage.new("RGB", size, colors[0])
    draw = ImageDraw.Draw(picture)
    bar, side = float(rng.uniform(0.04, 0.12)) * size[1], float(rng.uniform(0, 0.3)) * size[0]
    draw.rectangle((0, 0, size[0], bar), fill=colors[1])
    draw.text((4, bar / 4), words(2, rng), fill=colors[2], font=ImageFont.load_default(bar / 2))
    draw.rectangle((0, bar, side, size[1]), fill=colors[3])
    columns, rows = (int(count) for count in rng.integers(1, 5, 2))
    width, height = (size[0] - side) / columns, (size[1] - bar) / rows
    for place in range(columns * rows):
        x, y = side + place % columns * width, bar + place // columns * height
        ink = colors[4 + place % 4], colors[8 + place % 4]
        _panel(draw, (x + 5, y + 5, x + width - 5, y + height - 5), ink, rng)
    return picture


PAINTERS: tuple[Painter, ...] = (
    dead_leaves,
    terrain,
    bricks,
    checker,
    printed_page,
    skyline,
    marble,
    cells,
)


def procedural_picture(rng: np.random.Generator, *, size: int) -> Image:
    """One picture of a kind drawn at random, uint8 [size, size, 3]: it widens a small training set
    and carries no license of anybody else."""
    kinds = (*PAINTERS, julia, screen, screen)
    # Painted at twice the size: details of the painters are meant for whole frames.
    picture = kinds[int(rng.integers(len(kinds)))]((2 * size, 2 * size), rng)
    return np.asarray(picture.reduce(2))


def _panel(
    draw: ImageDraw.ImageDraw,
    box: tuple[float, float, float, float],
    colors: tuple[Color, Color],
    rng: np.random.Generator,
) -> None:
    left, top, right, bottom = box
    draw.rounded_rectangle(box, radius=5, fill=colors[0], outline=colors[1])
    if rng.random() < 0.4:
        x, y = np.linspace(left + 4, right - 4, 8), rng.uniform(top + 4, bottom - 4, 8)
        draw.line([(float(a), float(b)) for a, b in zip(x, y, strict=True)], colors[1], width=3)
        return
    font = ImageFont.load_default(18)
    for line in np.arange(top + 5, bottom - 18, 24):
        draw.text((left + 6, line), words(2, rng), fill=colors[1], font=font)


def _house(
    draw: ImageDraw.ImageDraw,
    box: tuple[float, float, float, float],
    colors: NDArray[np.uint8],
    rng: np.random.Generator,
) -> None:
    left, top, right, bottom = box
    draw.rectangle(box, fill=as_color(colors[0] // 2))
    for y in np.arange(top + 10, bottom, 18):
        for x in np.arange(left + 8, right - 10, 15):
            if rng.uniform() < 0.55:
                draw.rectangle((x, y, x + 7, y + 9), fill=as_color(colors[1]))


def _picture(values: NDArray[np.floating]) -> PillowImage.Image:
    return PillowImage.fromarray(np.clip(values, 0, 255).astype(np.uint8))


def _grained(
    picture: PillowImage.Image, rng: np.random.Generator, strength: float
) -> PillowImage.Image:
    grain = value_noise(picture.size, rng, cell=6, octaves=3) - 0.5
    return _picture(np.asarray(picture, dtype=np.float32) + grain[:, :, None] * 2 * strength)


def _stained(picture: PillowImage.Image, rng: np.random.Generator) -> PillowImage.Image:
    stain = 0.55 + 0.6 * value_noise(picture.size, rng, cell=120, octaves=6)
    return _picture(np.asarray(picture, dtype=np.float32) * stain[:, :, None])
