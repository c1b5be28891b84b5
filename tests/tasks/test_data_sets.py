"""Data sets by name: from the cache, from `datasets`, fetched once, or three ways to go on."""

from __future__ import annotations

import io
import json
import shutil
import urllib.request
from collections.abc import Callable
from pathlib import Path

import datasets
import pytest
from datasets.naming import camelcase_to_snakecase
from test_files import SUMS, TWO

from coconut_lab.tasks.gsm8k import write_gsm8k
from coconut_lab.tasks.json_files import write_json
from coconut_lab.tasks.loading import cache_file, load_problems
from coconut_lab.tasks.problems import ProblemError
from coconut_lab.tasks.prontoqa import generate_prontoqa
from coconut_lab.tasks.prosqa import generate_prosqa
from coconut_lab.tasks.word_problems import generate_arithmetic


@pytest.mark.parametrize(
    ("name", "repository", "split", "row"),
    [
        ("gsm8k-aug-nl", "whynlp/gsm8k-aug-nl", "test",
         {"question": "Three?", "steps": ["It is 3."], "answer": "3"}),
        ("multiarith", "ChilleD/MultiArith", "test", {"question": "Three?", "final_ans": "3"}),
        ("svamp", "ChilleD/SVAMP", "test",
         {"ID": "1", "Body": "B", "Question": "Q", "question_concat": "Three?", "Answer": "3"}),
        ("gsm-hard", "reasoning-machines/gsm-hard", "train",
         {"input": "Three?", "code": "def solution(): return 3", "target": 3.0}),
    ],
)  # fmt: skip
def test_data_sets_for_evaluation(
    tmp_path: Path, name: str, repository: str, split: str, row: dict[str, object]
) -> None:
    datasets_cache(tmp_path, [row], repository, split)
    (one,) = load_problems(name, split="test")
    assert (one.question, one.answer) == ("Three?", "3")
    assert one.steps == tuple(row.get("steps", ()))  # type: ignore[call-overload]
    assert load_problems(repository, split="test") == [one]
    if name != "gsm8k-aug-nl":
        with pytest.raises(ProblemError, match=r"split='validation'; there are (train, )?test"):
            load_problems(name)


@pytest.mark.parametrize("name", ["prosqa", "prontoqa", "gsm8k-aug", "gsm-hard"])
def test_offline_without_a_cache_the_error_says_which_ways_there_are(
    name: str, tmp_path: Path
) -> None:
    with pytest.raises(ProblemError) as caught:
        load_problems(name, split="test")
    message = str(caught.value)
    for way in (
        f"three ways lead to the test split of {name}",
        "(1) a path",
        "(2) the hub",
        "(3) the cache",
        str(tmp_path / "cache" / f"{name}_test.json"),
    ):
        assert way in message
    assert not (tmp_path / "cache").exists()


def test_a_file_in_the_cache_is_read(tmp_path: Path) -> None:
    for name, problems, write in (
        ("prosqa", generate_prosqa(3, 0), write_json),
        ("prontoqa", generate_prontoqa(3, 0), write_json),
        ("gsm8k-aug", generate_arithmetic(3, 0), write_gsm8k),
    ):
        kept = cache_file(name, "validation")
        kept.parent.mkdir(exist_ok=True)
        write(problems, kept)
        assert load_problems(name) == problems
        assert load_problems(name, limit=1) == problems[:1]


def test_the_cache_has_its_own_place(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("COCONUT_LAB_CACHE")
    assert cache_file("prosqa", "test") == Path.home() / ".cache/coconut-lab/prosqa_test.json"


def datasets_cache(
    folder: Path,
    rows: list[dict[str, object]],
    repository: str = "whynlp/gsm8k-aug",
    split: str = "validation",
) -> None:
    """Lay out a cache as `datasets` leaves it after it fetched a repository."""
    owner, name = repository.split("/")
    name = camelcase_to_snakecase(name)
    (folder / "rows.jsonl").write_text("\n".join(map(json.dumps, rows)))
    datasets.load_dataset(
        "json",
        data_files={split: str(folder / "rows.jsonl")},
        cache_dir=str(folder / "made"),
    )
    made = next((folder / "made").glob("json/*/*/*"))
    kept = folder / "datasets" / f"{owner}___{name}" / "default" / "0.0.0" / "hash"
    shutil.copytree(made, kept)
    (kept / f"json-{split}.arrow").rename(kept / f"{name}-{split}.arrow")
    info = (kept / "dataset_info.json").read_text()
    info = info.replace('"dataset_name": "json"', f'"dataset_name": "{name}"')
    (kept / "dataset_info.json").write_text(info)


def test_gsm8k_comes_from_the_cache_of_datasets(tmp_path: Path) -> None:
    datasets_cache(tmp_path, SUMS)
    assert load_problems("gsm8k-aug") == load_problems("whynlp/gsm8k-aug") == TWO
    assert load_problems("gsm8k-aug", limit=1) == TWO[:1]
    assert load_problems("gsm8k-aug", limit=9) == TWO
    with pytest.raises(ProblemError, match=r"cannot be fetched .*Unknown split.*three way"):
        load_problems("gsm8k-aug", split="test")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda row: {"question": row["question"], "cot": "", "answer": ""},
         "whynlp/gsm8k-aug: row 0: key 'steps' is missing"),
        (lambda row: row | {"answer": ""}, "whynlp/gsm8k-aug: row 0: the answer is empty"),
    ],
)  # fmt: skip
def test_wrong_columns_are_named(
    tmp_path: Path, change: Callable[[dict[str, object]], dict[str, object]], message: str
) -> None:
    datasets_cache(tmp_path, [change(row) for row in SUMS])
    with pytest.raises(ProblemError, match=message):
        load_problems("gsm8k-aug")


def test_prosqa_is_fetched_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    problems = generate_prosqa(4, 0, notation="english")
    write_json(problems, tmp_path / "there.json")
    asked = []

    def answer(address: str, timeout: float) -> io.BytesIO:
        asked.append(address)
        return io.BytesIO((tmp_path / "there.json").read_bytes())

    monkeypatch.delenv("HF_HUB_OFFLINE")
    monkeypatch.delenv("HF_DATASETS_OFFLINE")
    monkeypatch.setattr(urllib.request, "urlopen", answer)
    assert load_problems("prosqa", limit=3) == problems[:3]
    assert load_problems("prosqa") == problems
    (address,) = asked
    assert address.startswith("https://") and address.endswith(
        "/coconut/main/data/prosqa_valid.json"
    )
    assert [path.name for path in (tmp_path / "cache").iterdir()] == ["prosqa_validation.json"]


@pytest.mark.parametrize("answer", [OSError("no route to host"), b"<html>not found</html>"])
def test_a_failed_fetch_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, answer: OSError | bytes
) -> None:
    def respond(address: str, timeout: float) -> io.BytesIO:
        if isinstance(answer, OSError):
            raise answer
        return io.BytesIO(answer)

    monkeypatch.delenv("HF_HUB_OFFLINE")
    monkeypatch.delenv("HF_DATASETS_OFFLINE")
    monkeypatch.setattr(urllib.request, "urlopen", respond)
    with pytest.raises(ProblemError, match=r"prosqa cannot be fetched \(.*\); three ways"):
        load_problems("prosqa")
    assert not (tmp_path / "cache").exists()
