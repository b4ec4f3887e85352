"""Lets atheris look for bytes that break a border, guided by what they reach in our Python:
python -m tests.support.fuzz_borders -runs=100000

FFmpeg is out of its sight; tests/unit/media/test_fuzz.py is for that.
"""

from __future__ import annotations

import logging
import sys
import tempfile
from pathlib import Path

try:
    import atheris
except ImportError:
    sys.exit("atheris is not installed, and borders are not fuzzed: uv pip install atheris")

with atheris.instrument_imports(include=["dubl", "serve_app", "python_multipart"]):
    from tests.support.borders import BORDERS, SEEDS

FOLDER = Path(tempfile.mkdtemp(prefix="dubl-fuzz-"))


def one_input(data: bytes) -> None:
    """The first byte chooses the border."""
    if data:
        BORDERS[data[0] % len(BORDERS)](data[1:], FOLDER)


def main() -> None:
    logging.disable()
    corpus = Path(tempfile.mkdtemp(prefix="dubl-corpus-"))
    for number, seed in enumerate(SEEDS):
        for border in range(len(BORDERS)):
            (corpus / f"{number}-{border}").write_bytes(bytes([border]) + seed)
    atheris.Setup([*sys.argv, f"-artifact_prefix={FOLDER}/", str(corpus)], one_input)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
