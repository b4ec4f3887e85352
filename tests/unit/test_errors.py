"""Errors cross processes and become problems."""

from __future__ import annotations

import pickle

import pytest
from ray.exceptions import RayTaskError

from dubl import errors
from serve_app.api.problems import problem, status_of


def all_errors(kind: type[errors.DublError] = errors.DublError) -> list[type[errors.DublError]]:
    """Those of the module; Ray derives others from errors that cross a process."""
    own = [child for child in kind.__subclasses__() if child.__module__ == errors.__name__]
    return [kind, *(found for child in own for found in all_errors(child))]


@pytest.mark.parametrize("kind", all_errors(), ids=lambda kind: kind.__name__)
def test_an_error_survives_pickling_with_everything_it_says(kind: type[errors.DublError]) -> None:
    error = kind("it broke", context={"path": "a.mp4", "frames": 3})
    copy = pickle.loads(pickle.dumps(error))
    assert type(copy) is kind
    assert (copy.detail, copy.context, str(copy)) == ("it broke", error.context, "it broke")


@pytest.mark.parametrize("kind", all_errors(), ids=lambda kind: kind.__name__)
def test_every_error_becomes_a_problem_with_a_status_of_its_kind(
    kind: type[errors.DublError],
) -> None:
    body = problem(kind("it broke"))
    assert body["code"] == kind.code
    assert body["status"] == status_of(kind)
    if issubclass(kind, errors.InputError):
        assert 400 <= int(status_of(kind)) < 500


def test_codes_are_unique() -> None:
    codes = [kind.code for kind in all_errors()]
    assert sorted(codes) == sorted(set(codes))


def test_the_tree_drawn_at_the_top_of_the_module_names_every_error() -> None:
    drawing = errors.__doc__ or ""
    drawn = [kind.__name__ for kind in all_errors() if kind.__name__ in drawing]
    assert drawn == [kind.__name__ for kind in all_errors()]


def test_context_is_added_without_changing_the_error_it_came_from() -> None:
    error = errors.EmptyFile("no bytes", context={"path": "a.mp4"})
    richer = error.with_context({"job": "7"})
    assert richer.context == {"path": "a.mp4", "job": "7"}
    assert error.context == {"path": "a.mp4"}


def test_a_code_is_that_of_the_class_here_and_not_of_one_that_ray_derived_from_it() -> None:
    as_it_crossed = RayTaskError("decode", "its traceback", errors.NotAVideo("it broke"))
    derived = type(as_it_crossed.as_instanceof_cause())
    assert derived in errors.NotAVideo.__subclasses__()
    assert errors.error_class("not_a_video") is errors.NotAVideo
