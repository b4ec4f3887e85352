"""The training pictures: one packed file of squares, and what is known about each of them.

A pack is a folder. `pictures.bin` holds every picture twice, uint8 [N, 2, S, S, 3]: as it is, and
as a real H.264 encoder left it at a low rate; it is read through a memory map. `items.json` says
what each is, `overlays.npz` holds stickers and lines of text. Pictures of one `group` may show the
same moment and are never negatives of each other; pictures of one `scene` look alike without being
copies: hard negatives.
"""

from __future__ import annotations

import io
import itertools
import json
import logging
import tarfile
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path, PurePosixPath
from typing import Protocol, cast

import av
import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from dubl.errors import ConfigurationError
from dubl.footage.edits.overlay import sign, sticker
from dubl.footage.textures import procedural_picture, words
from dubl.footage.video_file import read_frames
from dubl.training.config import DataSettings

logger = logging.getLogger(__name__)

Pictures = NDArray[np.uint8]
PICTURES, ITEMS, OVERLAYS = "pictures.bin", "items.json", "overlays.npz"
STILLS_OF_A_FILM = 32  # pictures that go through one run of the encoder
SHOWINGS = 3  # frames for which each of them stands there: the last is taken
CRF = (28, 44)  # constant rate factors of x264: from visibly to badly compressed
ENCODED_SIDE = (0.5, 1.0)  # share of the side at which the encoder sees the picture
CLIP_RATE_HZ, MAX_CLIP_FRAMES = 2, 40  # frames of a clip
MIN_DIFFERENCE = 4.0  # mean absolute gray levels between two frames of a clip that are both kept
MIN_DEVIATION = 10.0  # gray levels; a flatter frame shows nothing that could be recognized


@dataclass(frozen=True, slots=True, kw_only=True)
class Item:
    """One picture of a pack: where it comes from, under which license, and its groups."""

    kind: str  # image | frame | procedural
    source: str
    license: str
    group: str
    scene: str
    validation: bool


class Credited(Protocol):
    """What has a source and a license."""

    @property
    def source(self) -> str: ...
    @property
    def license(self) -> str: ...
    @property
    def kind(self) -> str: ...


class Pack:
    """A folder of packed pictures.

    `pictures` and `compressed` are uint8 [N, S, S, 3] (memory maps), `items` N, `overlays` what
    may be laid over them.
    """

    def __init__(self, folder: Path) -> None:
        """Raises ConfigurationError when the folder holds no pack."""
        try:
            entries = json.loads((folder / ITEMS).read_text(encoding="utf-8"))
            self.items = [Item(**entry) for entry in entries["items"]]
            shape = (len(self.items), 2, entries["size"], entries["size"], 3)
            both = np.memmap(folder / PICTURES, np.uint8, "r", shape=shape)
            self.overlays = Overlays.read(folder / OVERLAYS)
        except (OSError, ValueError, TypeError, KeyError) as exc:
            raise ConfigurationError(f"{folder} holds no pack of training pictures") from exc
        self.pictures: Pictures = both[:, 0]
        self.compressed: Pictures = both[:, 1]

    def select(self, *, validation: bool) -> NDArray[np.int64]:
        """Indices of the pictures to train on, or of those held out."""
        chosen = [i for i, item in enumerate(self.items) if item.validation is validation]
        return np.asarray(chosen, dtype=np.int64)


def build_pack(sources: DataSettings, folder: Path, *, seed: int = 0) -> Pack:
    """Reads all sources once and writes the pack. Raises ConfigurationError without pictures."""
    folder.mkdir(parents=True, exist_ok=True)
    items: list[Item] = []
    rng = np.random.default_rng(seed)
    with (folder / PICTURES).open("wb") as file:
        for film in _films(sources, seed):
            pictures = np.stack([picture for _, picture in film])
            showings = 1 if film[0][0].kind == "frame" else SHOWINGS
            compressed = compress(pictures, rng, showings=showings)
            file.write(np.stack([pictures, compressed], axis=1).tobytes())
            items.extend(item for item, _ in film)
    if not items:
        raise ConfigurationError("no picture is left: check the sources and the license filter")
    render_overlays(sources.stickers, sources.fonts, seed=seed).write(folder / OVERLAYS)
    listing = {"size": sources.size, "items": [asdict(item) for item in items]}
    (folder / ITEMS).write_text(json.dumps(listing), encoding="utf-8")
    logger.info("packed %d pictures into %s", len(items), folder)
    return Pack(folder)


def compress(pictures: Pictures, rng: np.random.Generator, *, showings: int = 1) -> Pictures:
    """What x264 leaves of pictures [N, S, S, 3] that follow one another, each `showings` times."""
    size = pictures.shape[1]
    side = 2 * round(size * rng.uniform(*ENCODED_SIDE) / 2)
    file = io.BytesIO()
    with av.open(file, "w", format="matroska") as container:
        stream = cast(av.VideoStream, container.add_stream("libx264", rate=25))
        stream.width = stream.height = side
        stream.pix_fmt = "yuv420p"
        stream.options = {"crf": str(rng.integers(*CRF)), "preset": "superfast", "bf": "0"}
        stream.thread_count = 1
        for picture in np.repeat(pictures, showings, axis=0):
            small = cv2.resize(picture, (side, side), interpolation=cv2.INTER_AREA)
            frame = av.VideoFrame.from_ndarray(small, format="rgb24")
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    file.seek(0)
    with av.open(file) as container:
        decoded = [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]
    kept = decoded[showings - 1 :: showings]
    return np.stack([cv2.resize(frame, (size, size)) for frame in kept])


def takes(sources: DataSettings, entry: dict[str, str]) -> bool:
    """Whether the split and the license of an index entry let it in."""
    tier = entry.get("licence_tier", "A")
    return entry.get("split", "train") == "train" and sources.licenses.keeps(entry["licence"], tier)


def credited(items: Iterable[Credited], counted: str) -> tuple[dict[str, str | int], ...]:
    """Counts by source and license, as a model card lists them, largest first; `counted` is their
    name."""
    counts = Counter((item.source, item.license, item.kind) for item in items)
    return tuple(
        {"source": source, "license": text, "kind": kind, counted: count}
        for (source, text, kind), count in counts.most_common()
    )


def _films(sources: DataSettings, seed: int) -> Iterator[list[tuple[Item, Pictures]]]:
    """The pictures in portions that the encoder takes as one film: a clip, or some pictures."""
    for videos in sources.videos:
        for _, film in itertools.groupby(_frames(sources, videos), key=lambda one: one[0].group):
            yield list(film)
    archives = (_images(sources, archive) for archive in sources.images)
    stills = itertools.chain(*archives, _procedural(sources, seed))
    while some := list(itertools.islice(stills, STILLS_OF_A_FILM)):
        yield some


def _procedural(sources: DataSettings, seed: int) -> Iterator[tuple[Item, Pictures]]:
    rng = np.random.default_rng(seed)
    for index in range(sources.procedural):
        item = Item(
            kind="procedural",
            source="made by rules",
            license="none needed",
            group=f"procedural/{index}",
            scene="procedural",
            validation=False,
        )
        yield item, procedural_picture(rng, size=sources.size)


def read_index(path: Path) -> list[dict[str, str]]:
    try:
        return cast(list[dict[str, str]], json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError) as exc:
        raise ConfigurationError(f"{path} is not a readable index") from exc


def _images(sources: DataSettings, archive: Path) -> Iterator[tuple[Item, Pictures]]:
    entries = {entry["file"]: entry for entry in read_index(archive.with_suffix(".json"))}
    with tarfile.open(archive) as pictures:
        for member in pictures:
            entry = entries.get(PurePosixPath(member.name).name)
            content = pictures.extractfile(member) if entry else None
            if entry is None or content is None or not takes(sources, entry):
                continue
            with Image.open(io.BytesIO(content.read())) as image:
                yield _image_item(entry, sources), square(image, sources.size)


def _image_item(entry: dict[str, str], sources: DataSettings) -> Item:
    source = entry["source_repo"]
    path = PurePosixPath(entry["source_path"])
    return Item(
        kind="image",
        source=source,
        license=entry["licence"],
        group=f"{source}/{path}",
        scene=f"{source}/{path.parent}",
        validation=source in sources.validation_repositories,
    )


def _frames(sources: DataSettings, folder: Path) -> Iterator[tuple[Item, Pictures]]:
    for clip in read_index(folder / "manifest.json"):
        if not takes(sources, clip):
            continue
        item = Item(
            kind="frame",
            source=clip["source_repo"],
            license=clip["licence"],
            group=f"clip/{clip['id']}",
            scene=f"clips/{clip['scene_group'] or clip['source_repo']}",
            validation=clip["source_repo"] in sources.validation_repositories,
        )
        for frame in _sampled_frames(folder / clip["file"], sources):
            yield item, frame


def _sampled_frames(path: Path, sources: DataSettings) -> Iterator[Pictures]:
    """Frames at the sampling rate that differ from the one kept before."""
    kept: Pictures | None = None
    count, due_s = 0, 0.0
    for frame in read_frames(path):
        if frame.time_s < due_s - 1e-6 or count >= MAX_CLIP_FRAMES:
            continue
        due_s = frame.time_s + 1 / CLIP_RATE_HZ
        picture = square(Image.fromarray(frame.image), sources.size)
        if picture.std() < MIN_DEVIATION:
            continue
        if kept is None or _difference(picture, kept) >= MIN_DIFFERENCE:
            kept, count = picture, count + 1
            yield picture


def _difference(one: Pictures, other: Pictures) -> float:
    return float(np.abs(one.astype(np.float32) - other).mean())


def square(
    image: Image.Image, size: int, box: tuple[float, float, float, float] | None = None
) -> Pictures:
    """The picture, or a box of it, squashed to uint8 [size, size, 3]."""
    resized = image.convert("RGB").resize((size, size), Image.Resampling.BICUBIC, box=box)
    return np.asarray(resized, dtype=np.uint8)


TEXT_PIXELS = 28  # height of letters before scaling; chosen
TEXT_SIZE = (256, 32)  # width and height of a rendered line of text, pixels
STICKER_SIZE = 96
EMOJI_FONT = "NotoColorEmoji.ttf"
EMOJI_PIXELS = 109  # the only size that this font holds
EMOJI = (*range(0x1F300, 0x1F5FF), *range(0x1F600, 0x1F64F), *range(0x1F680, 0x1F6C5))
LETTERS = (range(0x41, 0x7B), range(0x410, 0x450), range(0x3B1, 0x3CA), range(0x30, 0x3A))
MAX_ASPECT = 3.0  # longer pictures are banners and rules
MAX_PIXELS = 4_000_000  # some clip art is as large as a poster
MIN_COVER = 0.15  # share of a sticker that is not transparent


@dataclass(frozen=True, slots=True, kw_only=True)
class Overlays:
    """Masks of lines of text, uint8 [K, 32, 256], and stickers with alpha, uint8 [L, 96, 96, 4]."""

    texts: NDArray[np.uint8]
    stickers: NDArray[np.uint8]

    def write(self, path: Path) -> None:
        np.savez_compressed(path, texts=self.texts, stickers=self.stickers)

    @classmethod
    def read(cls, path: Path) -> Overlays:
        with np.load(path) as arrays:
            return cls(texts=arrays["texts"], stickers=arrays["stickers"])


def render_overlays(
    stickers: Path | None = None, fonts: Path | None = None, *, count: int = 512, seed: int = 0
) -> Overlays:
    """Draws `count` lines of text and up to four times as many stickers."""
    rng = np.random.default_rng(seed)
    faces = sorted(fonts.rglob("*.ttf")) if fonts is not None else []
    letters = [face for face in faces if _has_letters(face)]
    pictures = sorted(stickers.rglob("*.png")) if stickers is not None else []
    drawn = [
        np.asarray((sticker, sign)[place % 2](STICKER_SIZE, rng)) for place in range(count // 4)
    ]
    chosen = rng.permutation(len(pictures))[: 3 * count]
    read = [_picture_sticker(pictures[int(index)]) for index in chosen]
    emoji = _emoji(faces, rng, count=count // 2)
    texts = [_text_mask(rng, letters) for _ in range(count)]
    return Overlays(
        texts=np.stack(texts),
        stickers=np.stack([*drawn, *(one for one in [*read, *emoji] if _shows(one))]),
    )


def _has_letters(face: Path) -> bool:
    """Whether it can be read, in any size: fonts of emoji are pictures of one size."""
    try:
        ImageFont.truetype(str(face), TEXT_PIXELS)
    except OSError as exc:
        logger.info("font %s was left out: %s", face, exc)
        return False
    return True


def _text_mask(rng: np.random.Generator, faces: Sequence[Path]) -> NDArray[np.uint8]:
    image = Image.new("L", (TEXT_SIZE[0] * 3, TEXT_SIZE[1] * 2))
    face, line = ImageFont.load_default(TEXT_PIXELS), words(int(rng.integers(1, 5)), rng)
    line = line.upper() if rng.random() < 0.3 else line
    if faces:
        face = ImageFont.truetype(str(faces[int(rng.integers(len(faces)))]), TEXT_PIXELS)
        letters = [chr(code) for code in LETTERS[int(rng.integers(len(LETTERS)))]]
        length = int(rng.integers(4, 24))
        line = "".join(rng.choice([*letters, " "], length)).strip() or "A"
        if not _has_glyphs(face, line):
            return _text_mask(rng, ())
    ImageDraw.Draw(image).text((4, 4), line, fill=255, font=face, stroke_width=int(rng.integers(2)))
    box = image.getbbox() or (0, 0, *TEXT_SIZE)
    return np.asarray(image.crop(box).resize(TEXT_SIZE))


def _has_glyphs(face: ImageFont.FreeTypeFont, line: str) -> bool:
    """Whether the font draws these letters and not the sign for missing ones."""
    missing = bytes(face.getmask("\uffff"))
    return all(bytes(face.getmask(letter)) != missing for letter in line.replace(" ", "")[:3])


def _picture_sticker(path: Path) -> NDArray[np.uint8]:
    """Empty where the picture is a banner or a poster, or cannot be read."""
    empty = np.zeros((STICKER_SIZE, STICKER_SIZE, 4), np.uint8)
    try:
        with Image.open(path) as image:
            long, short = max(image.size), min(image.size)
            if long > MAX_ASPECT * short or long * short > MAX_PIXELS:
                return empty
            return np.asarray(image.convert("RGBA").resize((STICKER_SIZE, STICKER_SIZE)))
    except (OSError, Image.DecompressionBombError) as exc:
        logger.warning("sticker %s was left out: %s", path, exc)
        return empty


def _emoji(
    faces: Sequence[Path], rng: np.random.Generator, *, count: int
) -> list[NDArray[np.uint8]]:
    path = next((face for face in faces if face.name == EMOJI_FONT), None)
    if path is None:
        return []
    face, drawn = ImageFont.truetype(str(path), EMOJI_PIXELS), []
    for code in rng.permutation(EMOJI)[:count]:
        image = Image.new("RGBA", (136, 128), (0, 0, 0, 0))
        ImageDraw.Draw(image).text((0, 0), chr(code), font=face, embedded_color=True)
        drawn.append(np.asarray(image.resize((STICKER_SIZE, STICKER_SIZE))))
    return drawn


def _shows(sticker: NDArray[np.uint8]) -> bool:
    return bool((sticker[..., 3] > 0).mean() > MIN_COVER)
