"""Hints about edits, on rendered pictures with detail at every scale."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from dubl.footage.textures import dead_leaves, skyline
from dubl.matching.edit_hints import PicturePair, edit_hints
from dubl.types import Hint, HintKind, Segment, Uint8Array

SIZE = (160, 90)
FULL = Segment(
    query_start_s=0, query_end_s=8, reference_start_s=4, reference_end_s=12, similarity=0.9
)


def pictures(count: int = 3) -> list[Image.Image]:
    return [dead_leaves(SIZE, np.random.default_rng(seed)) for seed in range(count)]


def array(picture: Image.Image) -> Uint8Array:
    """As it comes out of a re-encoded file: lighter, and with noise."""
    values = np.asarray(picture.convert("RGB"), dtype=np.float64) * 0.8 + 30
    values += np.random.default_rng(7).normal(0, 4, (*values.shape[:2], 1))
    return np.clip(values, 0, 255).astype(np.uint8)


def hints_of(queries: list[Image.Image]) -> dict[HintKind, Hint]:
    pairs = [
        PicturePair(query=array(query), reference=np.asarray(original.convert("RGB")))
        for query, original in zip(queries, pictures(), strict=True)
    ]
    return {hint.kind: hint for hint in edit_hints([FULL], pairs)}


def test_a_re_encoded_copy_shows_no_edit() -> None:
    assert hints_of(pictures()) == {}


def test_a_mirrored_copy_is_called_so() -> None:
    flipped = [one.transpose(Image.Transpose.FLIP_LEFT_RIGHT) for one in pictures()]
    assert set(hints_of(flipped)) == {HintKind.MIRRORED}


@pytest.mark.parametrize("degrees", [90, 180, 270])
def test_a_turned_copy_is_called_so_with_its_angle(degrees: int) -> None:
    turned = [one.rotate(-degrees, expand=True) for one in pictures()]
    found = hints_of(turned)
    assert set(found) == {HintKind.ROTATED}
    assert found[HintKind.ROTATED].value == degrees


def test_an_inset_is_found_where_it_lies() -> None:
    composed = []
    for number, one in enumerate(pictures()):
        stage = skyline(SIZE, np.random.default_rng(100 + number)).convert("RGB")
        stage.paste(one.resize((64, 36)), (88, 45))
        composed.append(stage)
    box = hints_of(composed)[HintKind.INSET].box
    assert box is not None
    found = (box.left, box.top, box.width, box.height)
    np.testing.assert_allclose(found, (0.55, 0.5, 0.4, 0.4), atol=0.04)


def test_a_cut_out_is_cropped_with_the_part_that_it_shows() -> None:
    box = hints_of([one.crop((16, 9, 112, 63)) for one in pictures()])[HintKind.CROPPED].box
    assert box is not None
    np.testing.assert_allclose((box.left, box.top, box.width), (0.1, 0.1, 0.6), atol=0.04)


def test_a_gray_copy_of_a_colored_reference_is_gray() -> None:
    assert set(hints_of([one.convert("L").convert("RGB") for one in pictures()])) == {HintKind.GRAY}


def test_pictures_that_are_no_copies_hint_at_nothing() -> None:
    strangers = [dead_leaves(SIZE, np.random.default_rng(50 + n)) for n in range(3)]
    assert hints_of(strangers) == {}


def test_speed_and_direction_are_told_without_any_picture() -> None:
    fast = Segment(
        query_start_s=0,
        query_end_s=4,
        reference_start_s=0,
        reference_end_s=8,
        similarity=0.9,
        reversed=True,
    )
    assert edit_hints([fast], []) == (
        Hint(kind=HintKind.REVERSED),
        Hint(kind=HintKind.SPEED, value=2.0),
    )
    assert edit_hints([], []) == ()


def test_a_speed_within_the_error_of_the_ends_is_no_hint() -> None:
    for length_s, expected in ((8.0, ()), (60.0, (Hint(kind=HintKind.SPEED, value=0.95),))):
        segment = Segment(
            query_start_s=0,
            query_end_s=length_s,
            reference_start_s=0,
            reference_end_s=length_s * 0.95,
            similarity=0.9,
        )
        assert edit_hints([segment], []) == expected
