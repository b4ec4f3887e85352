"""Properties of the similarity network that hold for any weights."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from dubl.errors import FeatureSpaceMismatch
from dubl.models.chamfer import chamfer, frame_similarities
from dubl.models.visil import Visil
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
    actual = network(attention="none").frame_similarity(query, reference).values
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
    torch.testing.assert_close(there.values.mT, back.values)
    torch.testing.assert_close(symmetric.video_similarity(there), symmetric.video_similarity(back))


def test_asymmetric_similarity_depends_on_the_order() -> None:
    plain = network(attention="none")
    query, reference = regions(8, 4), regions(16, 4)
    there, back = plain.similarity(query, reference), plain.similarity(reference, query)
    assert not torch.allclose(there, back)


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


def test_pairwise_is_the_diagonal_of_all_pairs() -> None:
    plain = network()
    queries, references = regions(3, 8, 4), regions(3, 12, 4)
    masks = {"query_mask": torch.ones(3, 8), "reference_mask": torch.ones(3, 12)}
    masks["reference_mask"][1, 8:] = 0
    every = plain.frame_similarity(queries, references, **masks)
    pairs = plain.frame_similarity(queries, references, pairwise=True, **masks)
    torch.testing.assert_close(pairs.values, every.values[[0, 4, 8]])
    assert pairs.mask is not None
    assert every.mask is not None
    assert torch.equal(pairs.mask, every.mask[[0, 4, 8]])


def test_pairwise_needs_as_many_queries_as_references() -> None:
    with pytest.raises(ValueError, match="cannot pair"):
        network().frame_similarity(regions(2, 8, 4), regions(3, 8, 4), pairwise=True)


def test_padding_to_multiples_of_four_changes_nothing() -> None:
    plain = network()
    query, reference = regions(8, 4), regions(12, 4)
    padded = torch.cat([query, torch.zeros(8, 4, DIMS)])[None]
    mask = torch.cat([torch.ones(1, 8), torch.zeros(1, 8)], dim=1)
    alone = plain.similarity(query, reference)
    masked = plain.similarity(padded, reference, query_mask=mask)
    torch.testing.assert_close(masked, alone)


def test_padded_frames_are_zero_after_indexing() -> None:
    mask = torch.tensor([1.0, 1.0, 0.0])
    indexed = network().index_video(regions(3, 4), mask)
    assert indexed[2].abs().sum() == 0
    assert indexed[:2].abs().sum() > 0


def test_chamfer_of_a_wholly_masked_matrix_is_zero() -> None:
    values = torch.randn(2, 3, 4)
    mask = torch.zeros(2, 3, 4, dtype=torch.bool)
    assert torch.equal(chamfer(values, mask, symmetric=True), torch.zeros(2))


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
    assert plain.frame_similarity(short, reference).values.shape == (1, 1, frames, 9)


def test_binarized_features_are_signs_and_identical_frames_reach_one() -> None:
    binary = network(attention="none", bits=32)
    indexed = binary.index_video(regions(6, 4))
    assert set(indexed.unique().tolist()) == {-1.0, 1.0}
    frames = binary.frame_similarity(indexed, indexed).values[0, 0]
    torch.testing.assert_close(frames.diagonal(), torch.ones(6))
    assert frames.abs().max() <= 1


def test_binarization_has_a_gradient_in_training_only() -> None:
    binary = Visil(VisilConfig(dims=DIMS, attention="none", bits=8)).train()
    assert binary.index_video(regions(4, 4)).abs().max() <= 1
    binary.index_video(regions(4, 4)).sum().backward()
    assert binary.binarization.W.grad is not None


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
    output = one(regions(3, 8, 4), torch.ones(3, 8))
    assert output.similarities.shape == (3, 3)
    assert output.raw.shape == (9, 1, 2, 2)
    assert ((output.similarities >= 0) & (output.similarities <= 1)).all()
    output.similarities.sum().backward()
    assert one.attention.transform.weight.grad is not None
