"""One road of configuration; a typo is an error that names the key."""

from __future__ import annotations

from pathlib import Path

import pytest

from dubl.errors import ConfigurationError
from dubl.settings import load_settings

CONFIGS = Path(__file__).resolve().parents[2] / "configs"


def test_later_sources_win(tmp_path: Path) -> None:
    file = tmp_path / "a.yaml"
    file.write_text("media: {query_rate_hz: 3, min_frames: 5, max_duration_s: 60}\n")
    environment = {"DUBL__MEDIA__QUERY_RATE_HZ": "4", "DUBL__MEDIA__MIN_FRAMES": "6"}
    media = load_settings(file, ["media.query_rate_hz=5"], environment=environment).media
    assert (media.query_rate_hz, media.min_frames, media.max_duration_s) == (5, 6, 60)


@pytest.mark.parametrize(
    ("override", "named"),
    [
        ("media.query_rate=2", "media.query_rate"),
        ("medai.query_rate_hz=2", "medai"),
        ("media.query_rate_hz=fast", "media.query_rate_hz"),
        ("media.query_rate_hz=-1", "media.query_rate_hz"),
        ("policy.review_probability=0.99", "policy"),
        ("data_dir.inside=3", "data_dir"),
        ("nonsense", "nonsense"),
    ],
)
def test_a_wrong_setting_is_refused_by_name(override: str, named: str) -> None:
    with pytest.raises(ConfigurationError, match=named):
        load_settings(overrides=["data_dir=x", override], environment={})


def test_a_typo_in_the_environment_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="querry_rate_hz"):
        load_settings(environment={"DUBL__MEDIA__QUERRY_RATE_HZ": "2"})


def test_former_names_are_read() -> None:
    former = ["media.query_views=thorough", "policy.second_look_probability=0.25"]
    settings = load_settings(overrides=former, environment={})
    assert settings.media.query_views == "all"
    assert settings.policy.second_pass_probability == 0.25


def test_a_missing_file_and_broken_yaml_are_configuration_errors(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="cannot read"):
        load_settings(tmp_path / "none.yaml", environment={})
    (tmp_path / "bad.yaml").write_text("media: [")
    with pytest.raises(ConfigurationError, match="not valid YAML"):
        load_settings(tmp_path / "bad.yaml", environment={})


@pytest.mark.parametrize("path", sorted(CONFIGS.glob("[cl]*.yaml")), ids=lambda path: path.name)
def test_shipped_settings_load(path: Path) -> None:
    assert load_settings(path, environment={}).policy.version


def test_the_policys_version_is_that_of_its_content() -> None:
    def version(*overrides: str) -> str:
        return load_settings(overrides=list(overrides), environment={}).policy.version

    assert version() == version("policy.duplicate_probability=0.9")
    assert version() != version("policy.duplicate_probability=0.95")
    assert version("policy.version=spring") == "spring"


def test_stores_lie_in_the_data_folder_unless_placed_elsewhere(tmp_path: Path) -> None:
    settings = load_settings(
        overrides=[f"data_dir={tmp_path}", "index.uri=s3://bucket/library"], environment={}
    )
    assert settings.index_uri == "s3://bucket/library"
    assert settings.ledger_path == tmp_path / "ledger.duckdb"


def test_relative_folders_are_taken_from_the_current_one() -> None:
    settings = load_settings(
        overrides=["data_dir=./here", "media.allowed_roots=[./clips]"], environment={}
    )
    assert settings.data_dir == Path.cwd() / "here"
    assert settings.media.allowed_roots == (Path.cwd() / "clips",)


def test_a_candidate_has_other_weights() -> None:
    with pytest.raises(ConfigurationError, match=r"candidate\.weights must differ"):
        load_settings(overrides=["candidate.weights=dubl-compact"], environment={})
