"""Makes fingerprints: with the extra `fingerprint` alone, without the service's packages."""

from __future__ import annotations

from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path

from dubl.assembly import make_decoder, make_embedder, query_sampling
from dubl.closing import Closing
from dubl.contract.names import plain_text
from dubl.media.fingerprints import Fingerprint, write_fingerprint
from dubl.media.kinds import FINGERPRINT_SUFFIX
from dubl.media.sources import local_source
from dubl.settings import Settings, load_settings


class Fingerprinter(Closing):
    """Makes fingerprints of this machine's files, one after another, in a process of its own.

    `settings`: those of the service that will be asked; default: its defaults.
    """

    def __init__(self, settings: Settings | None = None) -> None:
        """Raises WeightsUnavailable, ExtraMissing."""
        settings = settings or load_settings()
        sound = settings.sound.model_copy(update={"enabled": True})
        media = settings.media.model_copy(update={"decode_processes": 1})
        settings = settings.model_copy(update={"sound": sound, "media": media})
        self._sampling = replace(query_sampling(settings), sound_alone=False)
        self._embedder = make_embedder(settings, runtime=find_spec("openvino") is not None)
        self._decoder = make_decoder(settings)

    def close(self) -> None:
        self._decoder.close()

    def write(self, video: Path, folder: Path) -> Path:
        """Writes the fingerprint of a video into a folder. Raises SourceNotFound, MediaError,
        ResourceError, OSError."""
        source = local_source(video.resolve(), name=plain_text(video.name))
        clip = self._decoder.decode(source, sampling=self._sampling)
        (features,) = self._embedder.embed([clip])
        path = folder / f"{video.name}{FINGERPRINT_SUFFIX}"
        made = Fingerprint.of(source, clip, features, self._sampling)
        write_fingerprint(path, made)
        return path
