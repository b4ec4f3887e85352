"""Properties of the similarity network that hold for any weights."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from dubl.errors import FeatureSpaceMismatch
from dubl.models.chamfer import frame_similarities
from dubl.models.visil import Visil, VisilHead
from dubl.models.visil_config import VisilConfig

DIMS = 16
PUBLISHED_KEYS = {
    "attention.transform.weight": (512, 512),
    "attention.transform.bias": (512,),
    "attention.context_vector.weight": (1, 512),
    "visil_head.conv1.weight": (32, 1, 3, 3),
    "visil_head.conv1.bias": (32,),
    "visil_head.conv2.weight": (64, 32, 3, 3),
    "visil_head.conv2.bias": (64,),
    "visil_head.conv3.weight": (128, 64, 3, 3),
    "visil_head.conv3.bias": (128,),
    "visil_head.fconv.weight": (1, 128, 1, 1),
    "visil_head.fconv.bias": (1,),
}


@pytest.fixture(autouse=True)
def _seed() -> None:
    torch.manual_seed(0)


def regions(*shape: int) -> Tensor:
    return F.normalize(torch.randn(*shape, DIMS), dim=-1)


def network(**fields: object) -> Visil:
    return Visil(VisilConfig(**{"dims": DIMS, **fields})).eval()


def naive_frame_similarity(query: Tensor, reference: Tensor) -> Tensor:
    """mean over query regions of the max over reference regions, in loops."""
    rows = []
    for one in query:
        cells = [
            torch.stack([torch.stack([o @ p for p in other]).max() for o in one]).mean()
            for other in reference
        ]
        rows.append(torch.stack(cells))
    return torch.stack(rows)


def test_published_state_dict_keys_and_shapes() -> None:
    state = Visil().state_dict()
    assert {name: tuple(value.shape) for name, value in state.items()} == PUBLISHED_KEYS
    assert sum(value.numel() for value in state.values()) == 355_969


def test_binarized_network_has_a_projection_instead_of_attention() -> None:
    keys = Visil(VisilConfig(attention="none", bits=512)).state_dict().keys()
    assert "binarization.W" in keys
    assert not any(key.startswith("attention") for key in keys)


def test_attention_and_binarization_exclude_each_other() -> None:
    with pytest.raises(ValueError, match="no attention"):
        VisilConfig(bits=8)


def test_frame_similarity_is_mean_of_best_reference_region() -> None:
    query, reference = regions(3, 4), regions(5, 6)
    expected = naive_frame_similarity(query, reference)
    actual = network(attention="none").frame_similarity(query, reference)
    torch.testing.assert_close(actual, expected[None, None])


def test_symmetric_frame_similarity_averages_both_directions() -> None:
    query, reference = regions(3, 4), regions(5, 6)
    there = naive_frame_similarity(query, reference)
    back = naive_frame_similarity(reference, query).T
    actual = frame_similarities(query, reference, symmetric=True)
    torch.testing.assert_close(actual, (there + back) / 2)


def test_symmetric_chamfer_similarity_is_invariant_under_swapping() -> None:
    symmetric = network(symmetric=True)
    query, reference = symmetric.index_video(regions(9, 4)), symmetric.index_video(regions(14, 4))
    there = symmetric.frame_similarity(query, reference)
    back = symmetric.frame_similarity(reference, query)
    torch.testing.assert_close(there.mT, back)
    torch.testing.assert_close(symmetric.video_similarity(there), symmetric.video_similarity(back))


def test_asymmetric_similarity_depends_on_the_order() -> None:
    plain = network(attention="none")
    query, reference = regions(8, 4), regions(16, 4)
    there, back = plain.similarity(query, reference), plain.similarity(reference, query)
    assert not torch.allclose(there, back)


def test_a_video_is_wholly_similar_to_itself() -> None:
    video = regions(2, 9)
    diagonal = frame_similarities(video, video).diagonal()
    torch.testing.assert_close(diagonal, torch.ones(2))


@pytest.mark.parametrize("symmetric", [False, True])
def test_tiles_do_not_change_frame_similarities(symmetric: bool) -> None:
    query, reference = regions(11, 3), regions(7, 5)
    whole = frame_similarities(query, reference, symmetric=symmetric)
    for tile in (1, 4, 7):
        tiled = frame_similarities(query, reference, symmetric=symmetric, tile=tile)
        torch.testing.assert_close(tiled, whole, rtol=0, atol=1e-6)


def test_all_pairs_come_query_by_query() -> None:
    plain = network()
    queries, references = regions(2, 8, 4), regions(3, 12, 4)
    together = plain.similarity(queries, references)
    singly = [[plain.similarity(q, r).item() for r in references] for q in queries]
    torch.testing.assert_close(together, torch.tensor(singly))


@pytest.mark.parametrize("frames", [1, 2, 3])
def test_short_video_is_doubled_until_it_has_four_frames(frames: int) -> None:
    plain = network()
    short, reference = regions(frames, 4), regions(9, 4)
    doubled = short
    while len(doubled) < 4:
        doubled = torch.cat([doubled, doubled])
    torch.testing.assert_close(
        plain.similarity(short, reference), plain.similarity(doubled, reference)
    )
    assert plain.frame_similarity(short, reference).shape == (1, 1, frames, 9)


def test_binarized_features_are_signs_and_identical_frames_reach_one() -> None:
    binary = network(attention="none", bits=32)
    indexed = binary.index_video(regions(6, 4))
    assert set(indexed.unique().tolist()) == {-1.0, 1.0}
    frames = binary.frame_similarity(indexed, indexed)[0, 0]
    torch.testing.assert_close(frames.diagonal(), torch.ones(6))
    assert frames.abs().max() <= 1


def test_norm_attention_ignores_the_length_of_its_vector_and_unit_attention_does_not() -> None:
    for kind, equal in (("norm", True), ("unit", False)):
        one = network(attention=kind)
        before = one.index_video(video := regions(4, 4))
        with torch.no_grad():
            one.attention.context_vector.weight.mul_(3)
        assert torch.allclose(one.index_video(video), before) is equal


def test_attention_shrinks_features_and_keeps_their_direction() -> None:
    video = regions(4, 4)
    indexed = network().index_video(video)
    torch.testing.assert_close(F.normalize(indexed, dim=-1), video)
    assert (indexed.norm(dim=-1) < 1).all()


def test_stored_half_precision_features_can_be_compared() -> None:
    plain = network(attention="none")
    video = regions(8, 4)
    half = plain.similarity(video.half(), video.half())
    torch.testing.assert_close(half, plain.similarity(video, video), rtol=0, atol=1e-3)


@pytest.mark.parametrize("shape", [(4, 4, DIMS + 1), (4, DIMS), (0, 4, DIMS)])
def test_other_feature_spaces_are_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(FeatureSpaceMismatch, match=f"{DIMS}"):
        network().index_video(torch.zeros(shape))


def test_training_output_maps_similarities_to_the_unit_interval() -> None:
    one = network()
    output = one(regions(3, 8, 4))
    assert output.similarities.shape == (3, 3)
    assert output.raw.shape == (9, 1, 2, 2)
    assert ((output.similarities >= 0) & (output.similarities <= 1)).all()
    output.similarities.sum().backward()
    assert one.attention.transform.weight.grad is not None


@pytest.mark.parametrize(("height", "width"), [(4, 4), (5, 17), (17, 64)])
def test_the_comparator_makes_a_cell_of_four_frames_a_side(height: int, width: int) -> None:
    output = VisilHead()(torch.rand(2, 1, height, width))
    assert output.shape == (2, 1, height // 4, width // 4)


def test_the_padding_rule_changes_the_output() -> None:
    zeros, replicate = VisilHead(), VisilHead(padding="replicate")
    replicate.load_state_dict(zeros.state_dict())
    frames = torch.rand(2, 1, 12, 12)
    assert not torch.allclose(zeros(frames), replicate(frames))
