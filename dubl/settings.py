"""The one typed configuration: configs/*.yaml < environment DUBL__SECTION__KEY < overrides.

Nothing else in Dubl reads files of settings or the environment.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Literal

import yaml
from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    SecretStr,
    ValidationError,
    field_validator,
    model_validator,
)

from dubl.errors import ConfigurationError

ENVIRONMENT_PREFIX = "DUBL__"
PACKAGE = Path(__file__).resolve().parent
# Where `configs/local.yaml` is looked for: here, in the installed package, in the checkout.
PLACES = (Path(), PACKAGE, PACKAGE.parent)
SECRETS = (
    ("access", "root_key"),
    ("serve", "broker_url"),
    ("serve", "broker_management_url"),
    ("webhooks", "secret"),
)

Tree = dict[str, object]


class Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class MediaSettings(Section):
    """How videos are obtained and decoded."""

    allowed_roots: tuple[Path, ...] = Field(
        default=(),
        description="folders from which videos may be registered by path, and where files of "
        "archives are looked at once more",
    )
    allow_private_addresses: bool = Field(
        default=False,
        description="whether links may point into private networks; never to link-local addresses",
    )
    link_schemes: tuple[Literal["http", "https"], ...] = Field(
        default=("http", "https"), min_length=1
    )
    link_hosts: tuple[str, ...] = Field(
        default=(),
        description="hosts that links may name, '.example.org' for all below it; empty: any",
    )
    link_timeout_s: float = Field(
        default=60.0, gt=0, description="a whole download, from the first look-up on"
    )
    max_size_bytes: int = Field(default=2 * 1024**3, gt=0)
    min_duration_s: float = Field(default=0.5, ge=0)
    max_duration_s: float = Field(default=4 * 3600.0, gt=0)
    max_pixels: int = Field(default=7680 * 4320, gt=0, description="pixels of one frame")
    max_pictures: int = Field(
        default=4_000_000, gt=0, description="pictures of one video: 4 h at 240 Hz are 3.5 million"
    )
    max_streams: int = Field(default=128, gt=0, description="streams of one file, of any kind")
    decode_timeout_s: float = Field(default=600.0, gt=0)
    backend: Literal["pyav", "decord"] = Field(
        default="pyav", description="decord serves only what it was shown to read truly"
    )
    decode_threads: int = Field(default=1, ge=1)
    decode_processes: int = Field(
        default=2, ge=1, description="files that one Decoder replica decodes at a time"
    )
    decode_memory_bytes: int = Field(
        default=8 * 1024**3, gt=0, description="address space of a decoding process"
    )
    reference_rate_hz: float = Field(default=1.0, gt=0)
    query_rate_hz: float = Field(default=2.0, gt=0)
    min_frames: int = Field(
        default=16, ge=1, description="frames read of a short video, whatever the rate"
    )
    query_views: Literal["whole", "parts", "all"] = Field(
        default="parts",
        description="views of a query that are compared. whole: the whole picture; parts: also the "
        "picture inside bars, stacked screens and insets; all: also mirrored, rotated and cut "
        "pictures, which takes up to 14 times as long (thorough is its former name)",
    )

    @field_validator("query_views", mode="before")
    @classmethod
    def _renamed(cls, value: object) -> object:
        return "all" if value == "thorough" else value


class SpoolSettings(Section):
    """Where uploads lie until they are worked on."""

    uri: str = Field(
        default="",
        description="object-store address, for nodes without a common disk; empty: in data_dir",
    )


class ModelSettings(Section):
    """Which network describes frames, and where it runs."""

    weights: str = Field(
        default="dubl-compact", description="name of shipped weights, or a folder with a card.json"
    )
    device: Literal["auto", "cpu", "cuda"] = "auto"
    threads: int = Field(default=1, ge=1, description="CPU threads of one replica")
    batch_frames: int = Field(default=16, ge=1, description="frames in one forward pass")


class CandidateSettings(Section):
    """Weights that are tried beside those that answer; docs/operate/new-weights.md."""

    weights: str = Field(
        default="", description="as model.weights; empty: there is no second feature space"
    )
    shadow_share: float = Field(
        default=0.1, ge=0, le=1, description="of checks that both spaces answer, to be compared"
    )


class IndexSettings(Section):
    """The library's tables, and how candidates are searched in them."""

    uri: str = Field(default="", description="folder or object-store address; empty: in data_dir")
    hits_per_frame: int = Field(default=20, ge=1)
    min_hit_similarity: float = Field(default=0.3, ge=-1, le=1)
    max_candidates: int = Field(default=20, ge=1)
    consistency_interval_s: float = Field(
        default=0.5, ge=0, description="how old a reader's view of the tables may be"
    )
    max_query_frames: int = Field(
        default=1200, ge=1, description="distinct frames of a query that are searched for"
    )
    ann_min_frames: int = Field(
        default=20_000, ge=1, description="from how many frames on the search is approximate"
    )
    ann_index: Literal["ivf_rq", "ivf_pq", "ivf_flat", "ivf_hnsw_sq"] = Field(
        default="ivf_rq", description="ivf_flat stands in where its codes do not fit the dimensions"
    )
    retrain_share: float = Field(
        default=0.5,
        gt=0,
        description="growth or loss since training from which the index is trained anew",
    )
    probed_partitions: int = Field(
        default=0, ge=0, description="parts of the index that are searched; 0: by its size"
    )
    refine_factor: int = Field(
        default=2, ge=1, description="hits compared in full for each one that is returned"
    )
    upkeep_interval_s: float = Field(
        default=60.0, gt=0, description="after how long what was written is compacted and indexed"
    )
    keep_versions_s: float = Field(
        default=3600.0, ge=0, description="how long readers may use a version after it was replaced"
    )


class MatchingSettings(Section):
    """Re-ranking and alignment of the best candidates."""

    rerank_candidates: int = Field(default=10, ge=1)
    max_segments: int = Field(default=8, ge=1, description="segments reported for a pair")
    min_segment_s: float = Field(default=1.0, gt=0)
    min_speed: float = Field(default=0.25, gt=0)
    max_speed: float = Field(default=4.0, gt=0)
    negative_libraries: tuple[str, ...] = Field(
        default=(),
        description="libraries of common material (intros, credits, black): no match is reported "
        "with them, and what of a query they show does not count for others; docs/use/rights.md",
    )
    negative_similarity: float = Field(
        default=0.7, ge=0, le=1, description="of a stretch that counts as common material"
    )


class PolicySettings(Section):
    """Probabilities from which a match counts."""

    version: str = "1"
    duplicate_probability: float = Field(default=0.9, ge=0, le=1)
    review_probability: float = Field(default=0.5, ge=0, le=1)
    second_look_probability: float = Field(
        default=0.02,
        ge=0,
        le=1,
        description="from which probability on a match that is no duplicate yet is looked at once "
        "more with all views; 1: never",
    )
    sure_probability: float = Field(
        default=0.97,
        ge=0,
        le=1,
        description="from which probability on a match is believed without a look at its pixels; "
        "those of a less probable one, from second_look_probability on, are compared",
    )

    @model_validator(mode="after")
    def _ordered(self) -> PolicySettings:
        if self.review_probability > self.duplicate_probability:
            raise ValueError("review_probability is above duplicate_probability")
        return self


class EvidenceSettings(Section):
    """What is kept of a checked video, so that a person can see why a match was found."""

    keep: Literal["none", "matches", "all"] = Field(
        default="matches",
        description="of which checks features and small pictures are kept: of none, of those with "
        "a match that a person is shown, or of all",
    )
    keep_videos: bool = Field(
        default=True,
        description="whether uploaded files are kept as well, those of references and those of "
        "the checks above, so that both can be played side by side",
    )
    retention_s: float = Field(
        default=30 * 86400.0, gt=0, description="how long what is kept of a check stays"
    )
    max_bytes: int = Field(
        default=20 * 1024**3,
        gt=0,
        description="of all that is kept; above it the oldest goes first",
    )


class LookbackSettings(Section):
    """Matching backwards: new references are looked for in earlier uploads; docs/use/rights.md."""

    keep_uploads: bool = Field(
        default=False,
        description="whether the features of every checked upload are kept; off, because that "
        "keeps something of what matched nothing, takes disk, and time of each check",
    )
    retention_s: float = Field(default=30 * 86400.0, gt=0)
    max_uploads: int = Field(
        default=100, ge=1, description="earlier uploads that are compared with a new reference"
    )
    delay_s: float = Field(
        default=30.0,
        ge=0,
        description="after how long a new reference is looked for, so that checks under way have "
        "kept their uploads",
    )


class FloodSettings(Section):
    """When a reference matches suddenly so much that a person has to look; docs/use/rights.md."""

    enabled: bool = True
    window_s: float = Field(default=3600.0, gt=0)
    history_s: float = Field(default=14 * 86400.0, gt=0)
    least: int = Field(
        default=100, ge=1, description="different uploads that match it within the window"
    )
    factor: float = Field(default=10.0, gt=1, description="times as many as usual")


class LedgerSettings(Section):
    """Jobs, verdicts and decisions. A file that is lost comes back from its last snapshot."""

    path: str = Field(default="", description="DuckDB file; empty: in data_dir")
    snapshots: str = Field(
        default="",
        description="object-store address for copies of the file, from which it is restored where "
        "it is absent; empty: none are made",
    )
    snapshot_interval_s: float = Field(
        default=60.0, gt=0, description="how much of the newest work may be lost with the file"
    )
    keep_snapshots: int = Field(default=24, ge=1)


class ServeSettings(Section):
    """Behavior of the online service; placement stands in serve_config.yaml."""

    broker: Literal["embedded", "rabbitmq"] = Field(
        default="embedded",
        description="who hands out accepted jobs: the ledger to the ingress's own replicas, or "
        "RabbitMQ to consumers",
    )
    broker_url: SecretStr = Field(
        default=SecretStr(""), description="amqp:// address; from the environment only"
    )
    broker_management_url: SecretStr = Field(
        default=SecretStr(""),
        description="RabbitMQ's HTTP API, for autoscaling; from the environment only",
    )
    broker_queue: str = Field(default="dubl-jobs", min_length=1)
    max_wait_s: float = Field(default=300.0, gt=0, description="longest Prefer: wait")
    max_concurrent_jobs: int = Field(default=8, ge=1, description="jobs one replica runs at once")
    max_waiting: int = Field(
        default=0,
        ge=0,
        description="requests that may wait for their result at one ingress; 0: as many as it has "
        "CPUs, at least 2; bounds how much slower they are answered than on an idle machine",
    )
    max_queued_jobs: int = Field(default=256, ge=1, description="accepted jobs not yet finished")
    max_requests: int = Field(
        default=256, ge=1, description="HTTP requests under way at one ingress"
    )
    max_batch_items: int = Field(default=500, ge=1, description="videos in one batch")
    job_timeout_s: float = Field(
        default=1800.0, gt=0, description="one attempt from start to verdict"
    )
    job_tries: int = Field(default=5, ge=1, description="attempts before a job is given up as dead")
    retry_delay_s: float = Field(default=1.0, gt=0, description="doubles with every attempt")
    lease_s: float = Field(
        default=20.0, gt=0, description="how soon a job of a killed process is taken over"
    )
    reconcile_interval_s: float = Field(default=300.0, gt=0)
    keep_dead_s: float = Field(
        default=7 * 86400.0, gt=0, description="how long a dead job's upload is kept"
    )
    embed_batch_clips: int = Field(default=4, ge=1)
    embed_batch_wait_s: float = Field(default=0.02, ge=0)


class WebhookSettings(Section):
    """Who is told when jobs end. Addresses obey the rules for links."""

    secret: SecretStr = Field(
        default=SecretStr(""), description="whsec_ and base64; from the environment only"
    )
    library_urls: Mapping[str, str] = Field(
        default={}, description="address by library, told of each of its jobs"
    )
    timeout_s: float = Field(default=15.0, gt=0)
    give_up_s: float = Field(default=86400.0, gt=0)


class AccessSettings(Section):
    """Who may use the service; docs/operate/access.md."""

    keys: Literal["auto", "required", "off"] = Field(
        default="auto",
        description="whether requests need an API key; auto: on every address but loopback",
    )
    root_key: SecretStr = Field(
        default=SecretStr(""),
        description="an administrator's key that the ledger need not hold, dubl_root_ and 32 "
        "characters or more; from the environment only",
    )
    requests_per_minute: int = Field(
        default=600, ge=1, description="of one key at one ingress, where the key names no other"
    )
    jobs_per_day: int = Field(
        default=0, ge=0, description="of one key, where the key names no other; 0: any number"
    )
    refresh_s: float = Field(
        default=2.0, ge=0, description="how long a revoked key may still be believed"
    )


class Settings(Section):
    """Everything that a person may set."""

    data_dir: Path = Path("data")
    media: MediaSettings = MediaSettings()
    spool: SpoolSettings = SpoolSettings()
    model: ModelSettings = ModelSettings()
    candidate: CandidateSettings = CandidateSettings()
    index: IndexSettings = IndexSettings()
    matching: MatchingSettings = MatchingSettings()
    policy: PolicySettings = PolicySettings()
    evidence: EvidenceSettings = EvidenceSettings()
    lookback: LookbackSettings = LookbackSettings()
    flood: FloodSettings = FloodSettings()
    ledger: LedgerSettings = LedgerSettings()
    serve: ServeSettings = ServeSettings()
    access: AccessSettings = AccessSettings()
    webhooks: WebhookSettings = WebhookSettings()

    @model_validator(mode="after")
    def _two_models(self) -> Settings:
        if self.is_candidate:
            raise ValueError("candidate.weights are model.weights")
        return self

    @property
    def is_candidate(self) -> bool:
        """Whether these are the candidate's own: see `candidate_settings`."""
        return bool(self.candidate.weights) and self.candidate.weights == self.model.weights

    @property
    def index_uri(self) -> str:
        """Where the library was first made; `library_uri` knows where a feature space's lies."""
        return self.index.uri or str(self.data_dir / "library")

    @property
    def uploads_uri(self) -> str:
        """Features of checked uploads, beside the library; see LookbackSettings."""
        return f"{self.index_uri.rstrip('/')}_uploads"

    @property
    def ledger_path(self) -> Path:
        return Path(self.ledger.path) if self.ledger.path else self.data_dir / "ledger.duckdb"

    @property
    def kept_dir(self) -> Path:
        """What is kept for people to look at; see EvidenceSettings."""
        return self.data_dir / "kept"

    @property
    def spool_dir(self) -> Path:
        return self.data_dir / "spool"


def load_settings(
    path: Path | str | None = None,
    overrides: Sequence[str] = (),
    *,
    environment: Mapping[str, str] | None = None,
) -> Settings:
    """Reads `path`, then the environment, then `section.key=value` overrides; later ones win.

    `path` is taken from the current folder or, where nothing lies there, from what Dubl ships.
    Values of the environment and of overrides are read as YAML ("2" is a number, "[a, b]" a list).
    Relative folders are taken from the current one. Raises ConfigurationError naming the key.
    """
    tree = _read_yaml(Path(path)) if path is not None else {}
    _refuse_secrets(tree, str(path))
    variables = os.environ if environment is None else environment
    for name, text in sorted(variables.items()):
        if name.startswith(ENVIRONMENT_PREFIX):
            keys = name.removeprefix(ENVIRONMENT_PREFIX).lower().split("__")
            _assign(tree, keys, _parse(name, text))
    for override in overrides:
        key, separator, text = override.partition("=")
        if not separator:
            raise ConfigurationError(f"'{override}' is not of the form section.key=value")
        if tuple(key.strip().split(".")) in SECRETS:
            raise ConfigurationError(f"'{key}' is a secret: set it in the environment")
        _assign(tree, key.strip().split("."), _parse(key, text))
    return _validate(tree)


def _read_yaml(path: Path) -> Tree:
    found = next((place / path for place in PLACES if (place / path).exists()), path)
    try:
        tree = yaml.safe_load(found.read_text(encoding="utf-8"))
    except OSError as exc:
        raise ConfigurationError(f"cannot read settings from {path}: {exc.strerror}") from exc
    except yaml.YAMLError as exc:
        raise ConfigurationError(f"{path} is not valid YAML: {exc}") from exc
    if tree is None:
        return {}
    if not isinstance(tree, dict):
        raise ConfigurationError(f"{path} must hold sections with keys")
    return tree


def _refuse_secrets(tree: Tree, path: str) -> None:
    for section, key in SECRETS:
        values = tree.get(section)
        if isinstance(values, dict) and key in values:
            raise ConfigurationError(
                f"'{section}.{key}' is a secret: take it out of {path} and set "
                f"{ENVIRONMENT_PREFIX}{section.upper()}__{key.upper()}"
            )


def _parse(name: str, text: str) -> object:
    try:
        return yaml.safe_load(text)
    except yaml.YAMLError as exc:
        raise ConfigurationError(f"the value of {name} is not valid YAML: {exc}") from exc


def _assign(tree: Tree, keys: Sequence[str], value: object) -> None:
    *parents, last = keys
    for key in parents:
        child = tree.setdefault(key, {})
        if not isinstance(child, dict):
            raise ConfigurationError(f"'{key}' in '{'.'.join(keys)}' is not a section")
        tree = child
    tree[last] = value


def _validate(tree: Tree) -> Settings:
    try:
        settings = Settings.model_validate(tree)
    except ValidationError as exc:
        problems = "; ".join(
            f"{'.'.join(str(part) for part in error['loc']) or 'settings'}: {error['msg']}"
            for error in exc.errors()
        )
        raise ConfigurationError(f"wrong settings: {problems}") from exc
    media = settings.media
    roots = tuple(root.expanduser().resolve() for root in media.allowed_roots)
    return settings.model_copy(
        update={
            "data_dir": settings.data_dir.expanduser().resolve(),
            "media": media.model_copy(update={"allowed_roots": roots}),
        }
    )
