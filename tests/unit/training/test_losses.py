"""S2VS losses against their formulas, written out in loops."""

from __future__ import annotations

from math import exp, log

import pytest
import torch

from dubl.training.comparator_trainer import (
    hard_negative_loss,
    info_nce,
    s2vs_loss,
    self_similarity_loss,
    similarity_regularization,
)

LABELS = torch.tensor([[1, 1, 0, 0], [1, 1, 0, 0], [0, 0, 1, 1], [0, 0, 1, 1]]).float()


def similarities() -> torch.Tensor:
    return torch.rand(4, 4, generator=torch.Generator().manual_seed(1))


def naive_info_nce(values: list[list[float]], labels: list[list[float]], t: float) -> float:
    rows = []
    for i, row in enumerate(values):
        negatives = sum(exp(row[k] / t) for k in range(4) if labels[i][k] == 0)
        terms = [
            -log(exp(row[j] / t) / (exp(row[j] / t) + negatives + 1e-6))
            for j in range(4)
            if labels[i][j] and j != i
        ]
        rows.append(sum(terms) / len(terms))
    return sum(rows) / len(rows)


def test_info_nce_follows_the_formula() -> None:
    values = similarities()
    expected = naive_info_nce(values.tolist(), LABELS.tolist(), 0.1)
    assert info_nce(values, LABELS, temperature=0.1).item() == pytest.approx(expected, rel=1e-5)


def test_info_nce_stays_finite_at_tiny_temperatures() -> None:
    values = similarities().requires_grad_()
    loss = info_nce(values, LABELS, temperature=1e-3)
    loss.backward()
    assert torch.isfinite(loss)
    assert values.grad is not None
    assert torch.isfinite(values.grad).all()


def test_info_nce_leaves_out_rows_without_positives() -> None:
    lonely = LABELS.clone()
    lonely[3] = torch.tensor([0.0, 0.0, 0.0, 1.0])
    values = similarities()
    three = [info_nce(values, _only(row), temperature=0.1) for row in (0, 1, 2)]
    loss = info_nce(values, lonely, temperature=0.1)
    torch.testing.assert_close(loss, torch.stack(three).mean())


def _only(row: int) -> torch.Tensor:
    labels = torch.eye(4)
    labels[row] = LABELS[row]
    return labels


def test_batch_without_negatives_or_positives_has_no_loss() -> None:
    values = similarities()
    assert info_nce(values, torch.ones(4, 4), temperature=0.1) < 1e-3
    assert info_nce(values, torch.eye(4), temperature=0.1) == 0
    assert hard_negative_loss(values, torch.ones(4, 4)) == 0


def test_hard_negative_loss_looks_at_the_most_similar_stranger() -> None:
    values = torch.full((4, 4), 0.2)
    values[:, 3] = 0.5
    expected = -(2 * log(0.5) + 2 * log(0.8)) / 4
    assert hard_negative_loss(values, LABELS).item() == pytest.approx(expected, rel=1e-5)


def test_logarithms_are_floored() -> None:
    assert hard_negative_loss(torch.ones(4, 4), LABELS).item() == pytest.approx(-log(1e-3))
    assert self_similarity_loss(torch.zeros(4, 4)).item() == pytest.approx(-log(1e-3))


def test_regularization_counts_what_leaves_the_bounds() -> None:
    raw = torch.tensor([-1.5, -1.0, 0.0, 1.0, 3.0])
    assert similarity_regularization(raw) == pytest.approx(2.5)


def test_total_is_the_weighted_sum_of_the_terms() -> None:
    raw = torch.tensor([2.0])
    loss = s2vs_loss(similarities(), LABELS, raw, temperature=0.1)
    expected = loss.info_nce + 3 * (loss.hard_negative + loss.self_similarity) + 1.0
    torch.testing.assert_close(loss.total, expected)
