"""The typed configuration: configs/*.yaml < environment DUBL__SECTION__KEY < overrides.

Nothing else in Dubl reads settings files or the environment.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Literal

import yaml
from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    IPvAnyNetwork,
    SecretStr,
    ValidationError,
    field_validator,
    model_validator,
)

from dubl.errors import ConfigurationError
from dubl.types.access import Scope

ENVIRONMENT_PREFIX = "DUBL__"
PACKAGE = Path(__file__).resolve().parent
# Places of `configs/local.yaml`: the current folder, the installed package, the checkout.
PLACES = (Path(), PACKAGE, PACKAGE.parent)
POSTGRESQL = ("postgresql://", "postgres://")  # of addresses
SECRETS = (
    ("access", "root_key"),
    ("ledger", "url"),
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
        description="folders from which videos may be registered by path; files of archives in "
        "them are read again when pixels are compared",
    )
    allow_private_addresses: bool = Field(
        default=False,
        description="whether links may point into private networks; link-local addresses are "
        "never allowed",
    )
    link_schemes: tuple[Literal["http", "https"], ...] = Field(
        default=("http", "https"), min_length=1
    )
    link_hosts: tuple[str, ...] = Field(
        default=(),
        description="allowed hosts of links; '.example.org' allows all its subdomains; empty: any",
    )
    link_timeout_s: float = Field(
        default=60.0, gt=0, description="time limit of a whole download, with name resolution"
    )
    max_size_bytes: int = Field(default=2 * 1024**3, gt=0)
    min_duration_s: float = Field(default=0.5, ge=0)
    max_duration_s: float = Field(default=4 * 3600.0, gt=0)
    max_pixels: int = Field(default=7680 * 4320, gt=0, description="pixels of one frame")
    max_pictures: int = Field(
        default=4_000_000, gt=0, description="pictures of one video; 4 h at 240 Hz are 3.5 million"
    )
    max_streams: int = Field(default=128, gt=0, description="streams of one file, of any kind")
    decode_timeout_s: float = Field(default=600.0, gt=0)
    backend: Literal["pyav", "decord"] = Field(
        default="pyav", description="with decord, PyAV still reads what decord reads wrongly"
    )
    decode_threads: int = Field(default=1, ge=1)
    decode_processes: int = Field(
        default=2, ge=1, description="files that one Decoder replica decodes at the same time"
    )
    decode_memory_bytes: int = Field(
        default=8 * 1024**3, gt=0, description="address space of a decoding process"
    )
    frames_memory_bytes: int = Field(
        default=1024**3,
        gt=0,
        description="size of one video's frames; of longer videos fewer are read: 0.97 a second of "
        "4 h. Those of a long video are held in parts of 512",
    )
    reference_rate_hz: float = Field(default=1.0, gt=0)
    query_rate_hz: float = Field(default=2.0, gt=0)
    min_frames: int = Field(
        default=16, ge=1, description="frames read of a short video, whatever the rate"
    )
    query_views: Literal["whole", "parts", "all"] = Field(
        default="parts",
        description="views of a query that are compared. whole: the whole picture; parts: also the "
        "picture inside bars, stacked screens and insets; all: also mirrored, rotated, negated and "
        "cut pictures, which takes up to 15 times as long (thorough is its former name)",
    )

    @field_validator("query_views", mode="before")
    @classmethod
    def _renamed(cls, value: object) -> object:
        return "all" if value == "thorough" else value


class SpoolSettings(Section):
    """Storage of uploads until their job is done."""

    uri: str = Field(
        default="",
        description="object-store address, for nodes without a shared disk; empty: in data_dir",
    )


class ModelSettings(Section):
    """The network that embeds frames."""

    weights: str = Field(
        default="dubl-compact", description="name of shipped weights, or a folder with a card.json"
    )
    device: Literal["auto", "cpu", "cuda"] = "auto"
    threads: int = Field(default=1, ge=1, description="CPU threads of one replica")
    batch_frames: int = Field(default=16, ge=1, description="frames in one forward pass")


class ChallengerSettings(Section):
    """A second model that is tried beside the answering one; docs/operate/new-weights.md."""

    weights: str = Field(default="", description="as model.weights; empty: no second feature space")
    shadow_share: float = Field(
        default=0.1, ge=0, le=1, description="share of checks answered by both, for comparison"
    )


class IndexSettings(Section):
    """The library's tables, and the search in them."""

    uri: str = Field(default="", description="folder or object-store address; empty: in data_dir")
    hits_per_frame: int = Field(default=20, ge=1)
    min_hit_similarity: float = Field(default=0.3, ge=-1, le=1)
    max_candidates: int = Field(default=20, ge=1)
    consistency_interval_s: float = Field(
        default=0.5, ge=0, description="greatest age of a reader's view of the tables"
    )
    max_query_frames: int = Field(
        default=1200, ge=1, description="distinct frames of a query that are searched at most"
    )
    ann_min_frames: int = Field(
        default=20_000, ge=1, description="number of frames from which the search is approximate"
    )
    ann_index: Literal["ivf_rq", "ivf_pq", "ivf_flat", "ivf_hnsw_sq"] = Field(
        default="ivf_rq",
        description="ivf_flat is used if the number of dimensions does not allow codes",
    )
    retrain_share: float = Field(
        default=0.5,
        gt=0,
        description="relative growth or loss since the training from which the index is retrained",
    )
    probed_partitions: int = Field(
        default=0, ge=0, description="partitions of the index that are searched; 0: by its size"
    )
    refine_factor: int = Field(
        default=2, ge=1, description="hits compared in full for each returned one"
    )
    upkeep_interval_s: float = Field(
        default=60.0, gt=0, description="time between two runs of compaction and indexing"
    )
    keep_versions_s: float = Field(
        default=3600.0, ge=0, description="time for which readers may use a replaced version"
    )


class MatchingSettings(Section):
    """Re-ranking and alignment of the best candidates."""

    rerank_candidates: int = Field(default=10, ge=1)
    max_segments: int = Field(
        default=200,
        ge=1,
        description="segments reported for one reference; bounds the answer, as 200 take 40 kB",
    )
    min_segment_s: float = Field(default=1.0, gt=0)
    min_speed: float = Field(
        default=0.25,
        gt=0,
        description="slowest copy that is looked for; in a calm shot about an eighth is seen",
    )
    max_speed: float = Field(default=4.0, gt=0)
    negative_libraries: tuple[str, ...] = Field(
        default=(),
        description="libraries of common material (intros, credits, black). They never match, and "
        "parts of a query that they contain do not count; docs/use/rights.md",
    )
    negative_similarity: float = Field(
        default=0.7, ge=0, le=1, description="similarity of a segment that is common material"
    )


class SoundSettings(Section):
    """Sound as a second witness beside the picture; docs/use/sound.md."""

    enabled: bool = False
    min_hit_similarity: float = Field(default=0.5, ge=-1, le=1)
    max_candidates: int = Field(
        default=5,
        ge=1,
        description="references whose sound is compared though no picture was found",
    )
    modalities: dict[str, Literal["video", "audio", "both"]] = Field(
        default={},
        description="by library: whether its references claim the picture (the default), the "
        "sound, or either; a reference's own rights.modalities go before",
    )


class PolicySettings(Section):
    """Thresholds on the probability of a match. They decide outcome and effort of a check."""

    version: str = Field(default="", description="in verdicts; default: a hash of the others")
    duplicate_probability: float = Field(default=0.9, ge=0, le=1)
    review_probability: float = Field(default=0.5, ge=0, le=1)
    second_pass_probability: float = Field(
        default=0.02,
        ge=0,
        le=1,
        description="probability from which a match below duplicate gets a second pass with all "
        "views; 1: never",
    )
    sure_probability: float = Field(
        default=0.97,
        ge=0,
        le=1,
        description="probability from which a match needs no pixel comparison; pixels are compared "
        "from second_pass_probability up to it",
    )

    @model_validator(mode="before")
    @classmethod
    def _renamed(cls, values: object) -> object:
        """Reads second_look_probability, the former name of second_pass_probability."""
        if not isinstance(values, dict) or "second_look_probability" not in values:
            return values
        rest = {key: value for key, value in values.items() if key != "second_look_probability"}
        return {"second_pass_probability": values["second_look_probability"], **rest}

    @model_validator(mode="after")
    def _ordered(self) -> PolicySettings:
        if self.review_probability > self.duplicate_probability:
            raise ValueError("review_probability is above duplicate_probability")
        if not self.version:
            content = self.model_dump_json(exclude={"version"}).encode()
            object.__setattr__(self, "version", hashlib.sha256(content).hexdigest()[:8])
        return self


class EvidenceSettings(Section):
    """Storage of evidence: it shows reviewers why a match was found."""

    keep: Literal["none", "matches", "all"] = Field(
        default="matches",
        description="checks whose features and small pictures are stored: none, those with a "
        "reported match, or all",
    )
    keep_videos: bool = Field(
        default=True,
        description="whether uploaded files of references and of these checks are stored too, so "
        "that both can be played side by side",
    )
    max_bytes: int = Field(
        default=20 * 1024**3,
        gt=0,
        description="size of all evidence; above it the oldest is removed first",
    )


class LookbackSettings(Section):
    """Matching backwards: new references are searched in earlier uploads; docs/use/rights.md."""

    keep_uploads: bool = Field(
        default=False,
        description="whether the features of every checked upload are stored. Off by default: it "
        "stores data of videos without a match, and takes disk space and time",
    )
    max_uploads: int = Field(
        default=100, ge=1, description="earlier uploads compared with a new reference at most"
    )
    delay_s: float = Field(
        default=30.0,
        ge=0,
        description="wait after a registration, so that running checks have stored their uploads",
    )


class RetentionSettings(Section):
    """How long data of uploads is stored; docs/operate/retention.md. Later it is deleted. A check
    under a legal hold stays until its release."""

    checks_s: float = Field(
        default=365 * 86400.0,
        gt=0,
        description="verdicts with file name and SHA-256, their matches and decisions",
    )
    jobs_s: float = Field(
        default=30 * 86400.0, gt=0, description="ended jobs, with the request: links and addresses"
    )
    deliveries_s: float = Field(
        default=30 * 86400.0, gt=0, description="webhooks that were delivered or given up"
    )
    evidence_s: float = Field(
        default=30 * 86400.0, gt=0, description="evidence of checks: files, pictures, features"
    )
    uploads_s: float = Field(
        default=30 * 86400.0, gt=0, description="features of checked uploads for matching backwards"
    )
    audit_s: float = Field(
        default=2 * 365 * 86400.0, gt=0, description="the audit log: who decided or changed what"
    )


class FloodSettings(Section):
    """Quarantine of references with a sudden flood of matches; docs/use/rights.md."""

    enabled: bool = True
    window_s: float = Field(default=3600.0, gt=0)
    history_s: float = Field(default=14 * 86400.0, gt=0)
    least: int = Field(
        default=100, ge=1, description="distinct uploads that match it within the window"
    )
    factor: float = Field(default=10.0, gt=1, description="multiple of the usual number")


class LedgerSettings(Section):
    """Jobs, verdicts and decisions, in a DuckDB file or in PostgreSQL. A lost file is restored from
    its last snapshot."""

    path: str = Field(default="", description="DuckDB file; empty: in data_dir")
    url: SecretStr = Field(
        default=SecretStr(""),
        description="postgresql:// address of a database, instead of a file, with libpq's "
        "parameters; several hosts: the one that takes changes; from the environment only",
    )
    tls: Literal["prefer", "require", "verify-ca", "verify-full"] = Field(
        default="prefer", description="of connections to PostgreSQL, unless url has sslmode"
    )
    pool_size: int = Field(default=4, ge=1, description="connections of a process to PostgreSQL")
    connect_timeout_s: float = Field(
        default=5.0, ge=2, description="time to wait for a connection to PostgreSQL"
    )
    statement_timeout_s: float = Field(
        default=30.0, gt=0, description="of one statement, or lock, in PostgreSQL"
    )
    snapshots: str = Field(
        default="",
        description="object-store address for copies of the file, from which a missing file is "
        "restored; empty: no copies",
    )
    snapshot_interval_s: float = Field(
        default=60.0, gt=0, description="time between snapshots; newer work is lost with the file"
    )
    keep_snapshots: int = Field(default=24, ge=1)

    @model_validator(mode="after")
    def _one_place(self) -> LedgerSettings:
        url = self.url.get_secret_value()
        if url and not url.startswith(POSTGRESQL):
            raise ValueError("url must begin with postgresql://")
        if url and self.snapshots:
            raise ValueError("snapshots are of a DuckDB file: back PostgreSQL up by its own means")
        return self


class ServeSettings(Section):
    """Behavior of the online service. Its placement is in serve_config.yaml."""

    broker: Literal["embedded", "rabbitmq"] = Field(
        default="embedded",
        description="distribution of accepted jobs: by the ledger to the ingress's replicas, or by "
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
        "CPUs, at least 2. It bounds their delay under load",
    )
    max_queued_jobs: int = Field(default=256, ge=1, description="accepted, unfinished jobs")
    max_requests: int = Field(
        default=256, ge=1, description="concurrent HTTP requests at one ingress"
    )
    max_batch_items: int = Field(default=500, ge=1, description="videos in one batch")
    key_share: float = Field(
        default=0.75,
        gt=0,
        le=1,
        description="of the places that no other key holds, the most that one key may hold: "
        "requests, waiting requests, unfinished jobs, jobs at work; 1: all",
    )
    job_timeout_s: float = Field(
        default=1800.0, gt=0, description="time limit of one attempt, from start to verdict"
    )
    job_tries: int = Field(default=5, ge=1, description="attempts before a job is marked as dead")
    retry_delay_s: float = Field(default=1.0, gt=0, description="doubles with every attempt")
    lease_s: float = Field(
        default=20.0, gt=0, description="time until a job of a killed process is taken over"
    )
    reconcile_interval_s: float = Field(default=300.0, gt=0)
    keep_dead_s: float = Field(
        default=7 * 86400.0, gt=0, description="time for which a dead job's upload is stored"
    )
    embed_batch_clips: int = Field(default=4, ge=1)
    embed_batch_wait_s: float = Field(default=0.02, ge=0)


class WebhookSettings(Section):
    """Notifications about finished jobs. Addresses obey the rules for links."""

    secret: SecretStr = Field(
        default=SecretStr(""), description="whsec_ and base64; from the environment only"
    )
    library_urls: Mapping[str, str] = Field(
        default={}, description="address by library, notified about each of its jobs"
    )
    timeout_s: float = Field(default=15.0, gt=0)
    give_up_s: float = Field(default=86400.0, gt=0)


class ProxySettings(Section):
    """A proxy that signs people in, such as oauth2-proxy; docs/operate/access.md."""

    peers: tuple[IPvAnyNetwork, ...] = Field(
        default=(),
        description="addresses or networks whose headers are believed; empty: nobody's",
    )
    name_header: str = Field(default="X-Forwarded-Email", description="names the person")
    groups_header: str = Field(
        default="X-Forwarded-Groups", description="the person's groups, with commas between them"
    )
    groups: Mapping[str, tuple[Scope, ...]] = Field(
        default={}, description="scopes by group; people of none are refused"
    )


class AccessSettings(Section):
    """Access to the service; docs/operate/access.md."""

    keys: Literal["auto", "required", "off"] = Field(
        default="auto",
        description="whether requests need an API key; auto: on every address but loopback",
    )
    root_key: SecretStr = Field(
        default=SecretStr(""),
        description="an administrator's key outside the ledger: dubl_root_ and at least 32 "
        "characters; from the environment only",
    )
    requests_per_minute: int = Field(
        default=600, ge=1, description="of one key at one ingress, unless the key has its own limit"
    )
    jobs_per_day: int = Field(
        default=0, ge=0, description="of one key, unless the key has its own limit; 0: unlimited"
    )
    upload_bytes_per_day: int = Field(
        default=0, ge=0, description="bodies of requests of one key at one ingress; 0: unlimited"
    )
    refresh_s: float = Field(
        default=2.0, ge=0, description="time for which a revoked key may still work"
    )
    trusted_proxy: ProxySettings = ProxySettings()

    @model_validator(mode="after")
    def _require_keys_behind_a_proxy(self) -> AccessSettings:
        if self.trusted_proxy.peers and self.keys != "required":
            raise ValueError("access.trusted_proxy.peers needs access.keys=required")
        return self


class Settings(Section):
    """All settings."""

    data_dir: Path = Path("data")
    media: MediaSettings = MediaSettings()
    spool: SpoolSettings = SpoolSettings()
    model: ModelSettings = ModelSettings()
    candidate: ChallengerSettings = ChallengerSettings()
    index: IndexSettings = IndexSettings()
    matching: MatchingSettings = MatchingSettings()
    sound: SoundSettings = SoundSettings()
    policy: PolicySettings = PolicySettings()
    evidence: EvidenceSettings = EvidenceSettings()
    lookback: LookbackSettings = LookbackSettings()
    retention: RetentionSettings = RetentionSettings()
    flood: FloodSettings = FloodSettings()
    ledger: LedgerSettings = LedgerSettings()
    serve: ServeSettings = ServeSettings()
    access: AccessSettings = AccessSettings()
    webhooks: WebhookSettings = WebhookSettings()

    @model_validator(mode="after")
    def _two_models(self) -> Settings:
        if self.is_challenger:
            raise ValueError("candidate.weights must differ from model.weights")
        return self

    @property
    def is_challenger(self) -> bool:
        """Whether these are the candidate model's own settings: see `challenger_settings`."""
        return bool(self.candidate.weights) and self.candidate.weights == self.model.weights

    @property
    def index_uri(self) -> str:
        """Address of the library; `library_uri` gives the address of one feature space."""
        return self.index.uri or str(self.data_dir / "library")

    @property
    def uploads_uri(self) -> str:
        """Address of the features of checked uploads; see LookbackSettings."""
        return f"{self.index_uri.rstrip('/')}_uploads"

    @property
    def ledger_place(self) -> Path | str:
        """The ledger's address in PostgreSQL, or the path of its file."""
        return self.ledger.url.get_secret_value() or self.ledger_path

    @property
    def ledger_path(self) -> Path:
        return Path(self.ledger.path) if self.ledger.path else self.data_dir / "ledger.duckdb"

    @property
    def evidence_dir(self) -> Path:
        """Folder of the evidence; see EvidenceSettings."""
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

    `path` is searched in the current folder, then among the shipped files. Values of the
    environment and of overrides are YAML ("2" is a number, "[a, b]" a list). Relative folders are
    relative to the current one. Raises ConfigurationError, which names the key.
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
            raise ConfigurationError(f"'{override}' must have the form section.key=value")
        if tuple(key.strip().split(".")) in SECRETS:
            raise ConfigurationError(f"'{key}' is a secret. Set it in the environment.")
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
                f"'{section}.{key}' is a secret. Remove it from {path} and set "
                f"{ENVIRONMENT_PREFIX}{section.upper()}__{key.upper()}."
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
