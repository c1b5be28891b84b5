"""Files that this project did not make, and the mark that skips a test where they are absent."""

from pathlib import Path

import pytest

FOLDER = Path(__file__).parents[2] / "shared" / "data"
PROSQA = FOLDER / "prosqa_valid.json"
PRONTOQA = FOLDER / "prontoqa_5hop_sample.json"
GSM8K = FOLDER / "gsm8k_valid.txt"

needs_published = pytest.mark.skipif(
    not all(path.exists() for path in (PROSQA, PRONTOQA, GSM8K)),
    reason="the published files are not beside the project",
)
