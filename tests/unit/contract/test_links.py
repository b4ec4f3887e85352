"""Claims about what of a link is shown."""

from __future__ import annotations

import pytest

from dubl.contract.links import shown_link


@pytest.mark.parametrize(
    ("link", "shown"),
    [
        ("https://h.example/a.mp4?X-Amz-Signature=secret", "https://h.example/a.mp4?…"),
        ("HTTPS://user:secret@h.example/a@b.mp4", "HTTPS://h.example/a@b.mp4"),
        ("http://h.example/a#secret?x", "http://h.example/a?…"),
        ("https://h.example/кот.mp4", "https://h.example/кот.mp4"),
        ("what? a #1 file.mp4", "what? a #1 file.mp4"),
        ("/data/a?b.mp4", "/data/a?b.mp4"),
    ],
)
def test_signatures_are_not_shown(link: str, shown: str) -> None:
    assert shown_link(link) == shown
    assert shown_link(shown) == shown
