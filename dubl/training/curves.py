"""Draws loss curves as a picture."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from PIL import Image, ImageDraw

from dubl.footage.procedural import font

COLORS = ((200, 30, 30), (30, 120, 30), (30, 30, 200))


def draw_curves(
    curves: Mapping[str, Sequence[float]], *, size: tuple[int, int] = (640, 360)
) -> Image.Image:
    """Up to three curves, each scaled to its own range; one of a single point is left out."""
    image = Image.new("RGB", size, "white")
    draw = ImageDraw.Draw(image)
    for row, ((name, values), color) in enumerate(zip(curves.items(), COLORS, strict=False)):
        if len(values) < 2:
            continue
        low, high = min(values), max(values)
        label = f"{name}: {values[0]:.3f} to {values[-1]:.3f}, least {low:.3f}"
        draw.text((size[0] // 3, 8 + 16 * row), label, fill=color, font=font(12))
        step = (size[0] - 20) / (len(values) - 1)
        scale = (size[1] - 80) / max(high - low, 1e-9)
        line = [(10 + i * step, size[1] - 10 - (v - low) * scale) for i, v in enumerate(values)]
        draw.line(line, fill=color, width=2)
    return image
