"""Loading: three formats told by their content, three ways to a data set, and bad input."""

from __future__ import annotations

import io
import json
import shutil
import urllib.request
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import datasets
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from published import GSM8K, PRONTOQA, PROSQA, needs_published

from coconut_lab.tasks.gsm8k import read_gsm8k, write_gsm8k
from coconut_lab.tasks.json_files import read_json, write_json
from coconut_lab.tasks.loading import cache_file, load_problems
from coconut_lab.tasks.problems import Problem, ProblemError
from coconut_lab.tasks.prontoqa import generate_prontoqa, read_prontoqa
from coconut_lab.tasks.prosqa import generate_prosqa
from coconut_lab.tasks.word_problems import generate_arithmetic

ROWS = [
    {"question": "Two and two?", "steps": ["<<2+2=4>>"], "answer": "4"},
    {"question": "Three?", "steps": [], "answer": "3"},
]
PROBLEMS = [Problem("Two and two?", ("<<2+2=4>>",), "4"), Problem("Three?", (), "3")]


@pytest.fixture(autouse=True)
def _own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing on the user's disk is read or written."""
    monkeypatch.setenv("COCONUT_LAB_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", str(tmp_path / "datasets"))


# --- formats -----------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["data.json", "data.txt", "data"])
def test_the_format_is_told_by_the_content(tmp_path: Path, name: str) -> None:
    file = tmp_path / name
    for problems, write in (
        (generate_prosqa(3, 0), write_json),
        (generate_arithmetic(3, 0), write_json),
        (generate_prontoqa(3, 0), write_json),
        (generate_arithmetic(3, 0), write_gsm8k),
    ):
        write(problems, file)
        for way in (file, str(file)):
            assert load_problems(way) == problems
            assert load_problems(way, split="anything", limit=2) == problems[:2]
            assert load_problems(way, limit=0) == []


@needs_published
def test_the_published_files() -> None:
    assert load_problems(PROSQA) == read_json(PROSQA)
    assert load_problems(PRONTOQA, limit=7) == read_prontoqa(PRONTOQA)[:7]
    assert load_problems(GSM8K, limit=7) == read_gsm8k(GSM8K)[:7]
    assert [len(load_problems(path)) for path in (PROSQA, PRONTOQA, GSM8K)] == [300, 200, 500]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "the file is empty; a file is Coconut's JSON"),
        (b" \n ", "the file is empty"),
        (b"Once upon a time.\n", "row 0: the format cannot be told: .* in the first 18 bytes"),
        ("Sam||<<1+1=2>> #### 2".encode("utf-16"), "not UTF-8 text .*; convert it to UTF-8"),
        (b"\x89PNG\0||", "not UTF-8 text"),
        (b'[{"question": "a"}]', "row 0: key 'steps' is missing"),
        (b'[{"question": "a", "steps": [], "answer": " "}]', "row 0: the answer is empty; fill"),
        (b'[{"question": "", "steps": [], "answer": "1"}]', "row 0: the question is empty"),
        (b'[{"question": "a", "steps": ["b", ""], "answer": "1"}]', "row 0: step 2 is empty"),
        (b'[{"question": "a\xe9", "steps": [], "answer": "1"}]', "line 1, column 17: not UTF-8"),
        (b'{"example1": {}}', r"row 0 \(example1\): key 'test_example' is missing"),
        (b"Sam||<<1+1=2>> #### 2\nEva||#### ", r"row 1 \(line 2\): the answer is empty"),
        ("Zoë||#### 2\n".encode() + "Zoë||#### 2".encode("cp1252"), r"row 1 \(line 2\): byte 3"),
    ],
)
def test_bad_files_are_named(tmp_path: Path, content: bytes, message: str) -> None:
    (tmp_path / "data.txt").write_bytes(content)
    with pytest.raises(ProblemError, match=rf"data\.txt: {message}"):
        load_problems(tmp_path / "data.txt")


@pytest.mark.parametrize(
    ("start", "end", "message"),
    [
        (b"", b"", "row 0: the format cannot be told: .* in the first 1,000,000 bytes"),
        (b"Sam||", b"#### 2", r"row 0 \(line 1\): longer than 1,000,000 bytes"),
        (
            b'[{"answer": "1", "steps": [], "question": "',
            b'"}]',
            "row 0: the question has 100,000,000 characters, more than 1,000,000; the file is dam",
        ),
    ],
    ids=["plain", "text", "json"],
)
def test_a_line_of_100_megabytes(tmp_path: Path, start: bytes, end: bytes, message: str) -> None:
    file = tmp_path / "huge"
    with file.open("wb") as out:
        out.write(start)
        for _ in range(100):
            out.write(b"x" * 1_000_000)
        out.write(end)
    with pytest.raises(ProblemError, match=f"huge: {message}"):
        load_problems(file)


@given(st.binary(max_size=60) | st.text(st.sampled_from('[]{}|<>=#12+ \n"ab,:')))
@settings(max_examples=300)
def test_any_file_is_read_or_refused(
    tmp_path_factory: pytest.TempPathFactory, content: bytes | str
) -> None:
    file = tmp_path_factory.mktemp("any") / "data"
    file.write_bytes(content if isinstance(content, bytes) else content.encode())
    with suppress(ProblemError):
        assert isinstance(load_problems(file), list)


def test_unknown_sources_are_named(tmp_path: Path) -> None:
    for source in (tmp_path / "absent.json", tmp_path, "prosqua", "whynlp/other"):
        with pytest.raises(ProblemError, match="is neither a file nor a known data set; a file is"):
            load_problems(source)
    with pytest.raises(ProblemError, match="split='valid'; there are train, validation, test"):
        load_problems("prosqa", split="valid")
    with pytest.raises(ProblemError, match="limit=-1"):
        load_problems("prosqa", limit=-1)


# --- three ways --------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["prosqa", "prontoqa", "gsm8k-aug"])
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


def test_the_cache_has_a_place_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("COCONUT_LAB_CACHE")
    assert cache_file("prosqa", "test") == Path.home() / ".cache/coconut-lab/prosqa_test.json"


def datasets_cache(folder: Path, rows: list[dict[str, object]]) -> None:
    """Lay out a cache as `datasets` leaves it after it fetched whynlp/gsm8k-aug."""
    (folder / "rows.jsonl").write_text("\n".join(map(json.dumps, rows)))
    datasets.load_dataset(
        "json",
        data_files={"validation": str(folder / "rows.jsonl")},
        cache_dir=str(folder / "made"),
    )
    made = next((folder / "made").glob("json/*/*/*"))
    kept = folder / "datasets" / "whynlp___gsm8k-aug" / "default" / "0.0.0" / "hash"
    shutil.copytree(made, kept)
    (kept / "json-validation.arrow").rename(kept / "gsm8k-aug-validation.arrow")
    info = (kept / "dataset_info.json").read_text()
    info = info.replace('"dataset_name": "json"', '"dataset_name": "gsm8k-aug"')
    (kept / "dataset_info.json").write_text(info)


def test_gsm8k_comes_from_the_cache_of_datasets(tmp_path: Path) -> None:
    datasets_cache(tmp_path, ROWS)
    assert load_problems("gsm8k-aug") == load_problems("whynlp/gsm8k-aug") == PROBLEMS
    assert load_problems("gsm8k-aug", limit=1) == PROBLEMS[:1]
    assert load_problems("gsm8k-aug", limit=9) == PROBLEMS
    with pytest.raises(ProblemError, match=r"cannot be loaded .*Unknown split.*three way"):
        load_problems("gsm8k-aug", split="test")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda row: {"question": row["question"], "cot": "", "answer": ""},
         "whynlp/gsm8k-aug: column 'steps' is missing; there are question, cot, answer. Rename"),
        (lambda row: row | {"answer": ""}, "whynlp/gsm8k-aug: row 0: the answer is empty"),
        (lambda row: row | {"answer": 4}, "row 0: key 'answer' is int, not str"),
        (lambda row: row | {"steps": "<<2+2=4>>"}, "row 0: key 'steps' is str, not list"),
        (lambda row: row | {"question": None}, "row 0: key 'question' is null, not str"),
    ],
)  # fmt: skip
def test_wrong_columns_are_named(
    tmp_path: Path, change: Callable[[dict[str, object]], dict[str, object]], message: str
) -> None:
    datasets_cache(tmp_path, [change(row) for row in ROWS])
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
