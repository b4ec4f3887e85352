"""Downloads the files of a published model and converts them to a model's folder."""

from __future__ import annotations

import logging
import tempfile
from pathlib import Path

import httpx

from dubl.errors import WeightsUnavailable
from dubl.models.presets import Preset, PublishedFile

LIMIT_BYTES = 128 * 1024**2
TIMEOUT_S = 30.0

logger = logging.getLogger(__name__)


def fetch_model(preset: Preset, folder: Path, *, client: httpx.Client | None = None) -> Path:
    """Returns the model's folder, `folder`/NAME. Files that are already in `folder` are not
    downloaded: they may be put there by hand.

    Closes `client`. Raises WeightsUnavailable.
    """
    with client or httpx.Client(follow_redirects=True, timeout=TIMEOUT_S) as session:
        for published in preset.files:
            if not (folder / published.name).is_file():
                fetch_file(published, folder, session)
    from dubl.models.published import build_model  # torch, which the image for CPUs lacks

    build_model(preset, folder, folder / preset.name)
    return folder / preset.name


def fetch_file(
    published: PublishedFile,
    folder: Path,
    session: httpx.Client,
    *,
    limit_bytes: int = LIMIT_BYTES,
) -> None:
    """Downloads a file to `folder`. It appears there only after it was read without error."""
    from dubl.models.published import check_published, read_published

    target = folder / published.name
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder, prefix=".fetch-") as scratch:
            partial = Path(scratch) / published.name
            _download(session, published.url, partial, limit_bytes)
            read_published(partial)
            check_published(published, partial)
            partial.replace(target)
    except httpx.HTTPError as exc:
        raise WeightsUnavailable(
            f"{published.url} cannot be fetched ({exc!r}): try again later, or download it "
            f"elsewhere and put it at {target}"
        ) from exc
    except OSError as exc:
        raise WeightsUnavailable(f"{target} cannot be written: {exc}") from exc
    logger.info("fetched %s into %s", published.url, target)


def _download(session: httpx.Client, url: str, path: Path, limit_bytes: int) -> None:
    with session.stream("GET", url) as response, path.open("wb") as file:
        response.raise_for_status()
        size_bytes = 0
        for chunk in response.iter_bytes():
            size_bytes += len(chunk)
            if size_bytes > limit_bytes:
                raise WeightsUnavailable(f"{url} has more than {limit_bytes} bytes")
            file.write(chunk)
