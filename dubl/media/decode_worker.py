"""The decoding process: python -m dubl.media.decode_worker.

It reads its settings and then requests from standard input, and ends when that is closed. Its owner
may kill it at any time.
"""

from __future__ import annotations

import logging
import os
import select
import signal
import sys
import threading
from collections.abc import Iterator
from typing import BinaryIO

from dubl.errors import DecoderCrashed, DublError
from dubl.media import wire
from dubl.media.confinement import confine
from dubl.media.decoder import FileDecoder
from dubl.settings import MediaSettings
from dubl.types import FrameClip, Sampling, VideoSource

logger = logging.getLogger(__name__)


def main() -> None:
    """Serves requests until the owner closes the standard input."""
    requests, answers = sys.stdin.buffer, _private_output()
    opening = wire.receive(requests)
    if opening is None:
        return
    settings = MediaSettings.model_validate(opening)
    decoder = FileDecoder(settings)
    lacks = confine(settings.decode_memory_bytes)
    threading.Thread(target=_end_with_owner, args=(requests.fileno(),), daemon=True).start()
    answers.write(wire.pack({"ready": True, "lacks": lacks}))
    answers.flush()
    while (header := wire.receive(requests)) is not None:
        _answer(decoder, header, answers, limit_s=2 * settings.decode_timeout_s + 10)
        signal.setitimer(signal.ITIMER_REAL, 0)


def _answer(
    decoder: FileDecoder, header: wire.Header, answers: BinaryIO, *, limit_s: float
) -> None:
    source, sampling, in_parts = wire.parse_request(header)
    try:
        clips = _clips(decoder, source, sampling, in_parts=in_parts)
        while True:
            # The kernel ends a decoder that hangs after its owner has died.
            signal.setitimer(signal.ITIMER_REAL, limit_s)
            if (clip := next(clips, None)) is None:
                break
            wire.send_clip(answers, clip)
            del clip  # before there is memory for the next one
    except DublError as exc:
        wire.send_error(answers, exc)
    except MemoryError:
        logger.exception("out of memory")
        wire.send_error(
            answers,
            DecoderCrashed(
                "decoding needs more memory than media.decode_memory_bytes allows",
                context={"name": source.name},
            ),
        )
    else:
        wire.send_end(answers)


def _clips(
    decoder: FileDecoder, source: VideoSource, sampling: Sampling, *, in_parts: bool
) -> Iterator[FrameClip]:
    if in_parts:
        yield from decoder.parts(source, sampling=sampling)
    else:
        yield decoder.decode(source, sampling=sampling)


def _private_output() -> BinaryIO:
    """Standard output, reserved for answers. Output of libraries goes to standard error."""
    private = os.dup(sys.stdout.fileno())
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    return os.fdopen(private, "wb")


def _end_with_owner(requests: int) -> None:
    """Ends the process when the owner's end of the pipe is closed, even while it decodes."""
    poll = select.poll()
    poll.register(requests, 0)
    poll.poll()
    os._exit(1)


if __name__ == "__main__":
    main()
