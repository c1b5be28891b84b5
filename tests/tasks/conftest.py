"""A file for problems, and a cache of its own."""

from pathlib import Path

import datasets
import pytest


@pytest.fixture(autouse=True)
def _own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing on the user's disk is read or written."""
    monkeypatch.setenv("COCONUT_LAB_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", str(tmp_path / "datasets"))


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "data"
