"""What Dubl is made of is written down, and its weights are the ones of their cards."""

from __future__ import annotations

import importlib.util
import json
import re
import shutil
import sys
from dataclasses import replace
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from dubl.assembly import SHIPPED_WEIGHTS, feature_spec
from dubl.errors import WeightsUnavailable
from dubl.matching.calibration import (
    CALIBRATION_FILE,
    load_background,
    load_calibration,
    save_background,
    save_calibration,
)
from dubl.models.compact import load_compact
from dubl.models.visil import load_comparator
from dubl.settings import load_settings

PROJECT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def inventory() -> ModuleType:
    path = PROJECT / "requirements" / "inventory.py"
    spec = importlib.util.spec_from_file_location("inventory", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["inventory"] = module
    spec.loader.exec_module(module)
    return module


def test_every_pinned_package_stands_in_the_list_of_licenses(inventory: ModuleType) -> None:
    page = (PROJECT / "THIRD_PARTY.md").read_text(encoding="utf-8")
    listed = set(re.findall(r"^\| ([a-z0-9-]+) \|", page, flags=re.MULTILINE)) - {"package"}
    pinned = {item.name for item in inventory.packages()}
    assert listed == pinned, "run `make licenses`"


def test_what_is_installed_names_its_license(inventory: ModuleType) -> None:
    unnamed = [item.name for item in inventory.packages() if item.runtime and not item.license]
    assert unnamed == []


def test_the_lock_pins_hashes_and_names_no_index() -> None:
    text = (PROJECT / "requirements" / "lock.txt").read_text()
    pins = re.findall(r"^[a-z0-9._-]+==", text, flags=re.MULTILINE)
    assert len(pins) > 50
    entries = re.split(r"^(?=[a-z0-9._-]+==)", text, flags=re.MULTILINE)[1:]
    assert [entry.split("==")[0] for entry in entries if "--hash=sha256:" not in entry] == []
    # Nothing but pins and their hashes: no address, no option of an installer.
    others = [line for line in text.splitlines() if not re.match(r"[a-z0-9._-]+==| +--hash=", line)]
    assert [line for line in others if not line.startswith("#")] == []
    assert "://" not in text


def test_the_bill_of_materials_names_packages_and_weights(inventory: ModuleType) -> None:
    document = json.loads(json.dumps(inventory.sbom(inventory.packages())))
    assert (document["bomFormat"], document["specVersion"]) == ("CycloneDX", "1.6")
    components = {item["name"]: item for item in document["components"]}
    assert components["av"]["purl"].startswith("pkg:pypi/av@")
    assert "pytest" not in components
    card = json.loads((SHIPPED_WEIGHTS / "dubl-compact" / "card.json").read_text())
    weights = components["dubl-compact/weights.safetensors"]
    assert weights["hashes"] == [{"alg": "SHA-256", "content": card["file_sha256"]}]


@pytest.mark.parametrize(
    "name", ["weights.safetensors", "comparator.safetensors", "background.npy"]
)
def test_weights_that_are_not_those_of_their_card_are_not_loaded(tmp_path: Path, name: str) -> None:
    folder = tmp_path / "weights"
    shutil.copytree(SHIPPED_WEIGHTS / "dubl-compact", folder)
    calibration = load_calibration(folder / CALIBRATION_FILE)
    bank = save_background(np.eye(4, dtype=np.float16), folder)
    save_calibration(replace(calibration, background_sha256=bank), folder / CALIBRATION_FILE)
    _load_all(folder)
    path = folder / name
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    settings = load_settings(overrides=[f"model.weights={folder}"], environment={})
    assert feature_spec(settings)
    with pytest.raises(WeightsUnavailable):
        _load_all(folder)


def _load_all(folder: Path) -> None:
    load_compact(folder)
    load_comparator(folder)
    load_background(folder, load_calibration(folder / CALIBRATION_FILE))
