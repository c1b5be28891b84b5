"""Files: exact round trips, three ways to a data set, and what is refused, with its place."""

from __future__ import annotations

import io
import json
import shutil
import urllib.request
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import datasets
import pytest
from datasets.naming import camelcase_to_snakecase
from example_problem import EDGES, ENGLISH, NAMES, english
from hypothesis import given, settings
from hypothesis import strategies as st
from published import GSM8K, PRONTOQA, PROSQA, needs_published

from coconut_lab.curriculum.stages_and_masks import tokenize
from coconut_lab.curriculum.tokenizer import word_tokenizer
from coconut_lab.tasks import gsm8k
from coconut_lab.tasks.gsm8k import write_gsm8k
from coconut_lab.tasks.json_files import write_json
from coconut_lab.tasks.loading import cache_file, load_problems
from coconut_lab.tasks.problems import Problem, ProblemError, verify
from coconut_lab.tasks.prontoqa import generate_prontoqa, write_prontoqa
from coconut_lab.tasks.prosqa import PRESETS, generate_prosqa
from coconut_lab.tasks.word_problems import generate_arithmetic

ROW = {
    "question": ENGLISH,
    "answer": "Tom is a lempus.",
    "steps": list(english().steps),
    "idx_to_symbol": list(NAMES),
    "edges": [list(edge) for edge in EDGES],
    "root": 0,
    "target": 4,
    "neg_target": 5,
}
PLAIN = {"question": "What is 1 + 1?", "answer": "2", "steps": ["<<1+1=2>>"]}
EXAMPLE = {
    "question": "Each vumpus is wooden. Max is a vumpus.",
    "query": "True or false: Max is wooden.",
    "chain_of_thought": ["Max is a vumpus.", "Each vumpus is wooden.", "Max is wooden."],
    "answer": "True",
}
LINE = "Sam has 4 pens.||<<4-2=2>> <<2/.5=4>> #### 4"


@pytest.fixture(autouse=True)
def _own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing on the user's disk is read or written."""
    monkeypatch.setenv("COCONUT_LAB_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", str(tmp_path / "datasets"))


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "data"


# --- read and written ----------------------------------------------------------------------------


def test_json_round_trip_is_exact(file: Path) -> None:
    text = json.dumps([ROW, PLAIN])
    file.write_text(text)
    problems = load_problems(file)
    assert problems == [english(), Problem("What is 1 + 1?", ("<<1+1=2>>",), "2")]
    write_json(problems, file)
    assert file.read_text() == text  # key order too
    assert list(file.parent.iterdir()) == [file]


@needs_published
def test_published_prosqa(file: Path) -> None:
    problems = load_problems(PROSQA)
    assert len(problems) == 300
    for number, one in enumerate(problems):
        verify(one)
        assert one.graph is not None
        assert one.graph.hops == len(one.steps), number
        assert one.in_symbols().in_english() == one, number
        verify(one.in_symbols())
    # In symbols they are problems for a model of the preset "paper".
    preset = PRESETS["paper"]
    known = word_tokenizer([*preset.entities, *preset.concepts])
    rows = tokenize([one.in_symbols() for one in problems], known)
    assert max(len(row.question) for row in rows) == 164
    assert load_problems(str(PROSQA), limit=7) == problems[:7]
    write_json(problems, file)
    assert file.read_bytes() == PROSQA.read_bytes()


@needs_published
def test_published_prontoqa_and_gsm8k(file: Path) -> None:
    problems = load_problems(PRONTOQA)
    assert (len(problems), load_problems(PRONTOQA, limit=7)) == (200, problems[:7])
    write_prontoqa(problems, file)
    assert json.loads(file.read_text()) == json.loads(PRONTOQA.read_text())
    problems = load_problems(GSM8K)
    assert (len(problems), load_problems(GSM8K, limit=7)) == (500, problems[:7])
    lines = GSM8K.read_text(encoding="utf-8").splitlines()
    for one, line in zip(problems, lines, strict=True):
        assert " ".join([f"{one.question}||{' '.join(one.steps)}", "####", one.answer]) == line
    write_gsm8k(problems, file)
    assert file.read_bytes().strip() == GSM8K.read_bytes().strip()


def test_an_example_is_read_as_coconut_does(file: Path) -> None:
    file.write_text(json.dumps({"example1": {"test_example": EXAMPLE}}))
    (one,) = load_problems(file)
    assert one.question == "Each vumpus is wooden. Max is a vumpus. True or false: Max is wooden."
    assert one.steps == ("Max is a vumpus. Each vumpus is wooden.", "Max is wooden.")
    assert (one.answer, one.graph) == ("True", None)
    write_prontoqa([one], file)
    assert json.loads(file.read_text()) == {"example1": {"test_example": EXAMPLE}}


@pytest.mark.parametrize(
    ("content", "steps", "answer"),
    [
        (LINE, ("<<4-2=2>>", "<<2/.5=4>>"), "4"),
        (f"\ufeff{LINE}\r\n", ("<<4-2=2>>", "<<2/.5=4>>"), "4"),
        ("Sam has 4 pens.|| #### 1,000\n\n", (), "1,000"),
        ("Sam has 4 pens.||<<4 - 2 = 2>><<1=1>>####  4", ("<<4 - 2 = 2>>", "<<1=1>>"), "4"),
    ],
)
def test_lines_are_read(file: Path, content: str, steps: tuple[str], answer: str) -> None:
    file.write_bytes(content.encode())
    assert load_problems(file) == [Problem("Sam has 4 pens.", steps, answer)]


TWO = [Problem("Two and two?", ("<<2+2=4>>",), "4"), Problem("Three?", (), "3")]
SUMS = [{"question": one.question, "steps": [*one.steps], "answer": one.answer} for one in TWO]


@pytest.mark.parametrize(
    "content",
    [
        json.dumps(SUMS, indent=1),
        "\ufeff" + "\n".join(map(json.dumps, SUMS)),
        "\r\n\n".join(json.dumps(row, indent=1) for row in SUMS),
        json.dumps({"version": "1.0", "data": SUMS}),
        json.dumps({"first": SUMS[0], "second": SUMS[1]}),
        json.dumps([{"question": "Two and two?", "answer": "2+2 is <<2+2=4>>4.\n#### 4"},
                    {"question": "Three?", "answer": 3.0}]),
        # MultiArith, SVAMP and GSM-Hard name their columns otherwise.
        json.dumps([SUMS[0], {"question": "Three?", "final_ans": "3"}]),
        json.dumps([SUMS[0], {"ID": "1", "question_concat": "Three?", "Answer": "3"}]),
        json.dumps([SUMS[0], {"input": "Three?", "code": "3", "target": 3.0}]),
        "Two and two?||<<2+2=4>> #### 4\r\nThree?|| #### 3",
    ],
)  # fmt: skip
def test_every_form_of_a_file_is_read(file: Path, content: str) -> None:
    file.write_bytes(content.encode())
    assert load_problems(file) == TWO
    assert load_problems(file, limit=1) == TWO[:1]
    file.write_text(json.dumps(SUMS[1]))
    assert load_problems(file) == TWO[1:]  # a single object


def test_a_large_number_is_written_out(file: Path) -> None:
    file.write_text(json.dumps({"input": "How many?", "target": 6.2e20}))
    assert load_problems(file)[0].answer == "620000000000000000000"


ODD = st.text(
    st.sampled_from('a1.|# <>="\\[]{},:\0\r\n\t\v\x1c\x85\u2028\ufeff\ud800é'), max_size=4
)
SOUND = st.sampled_from(["Sam has 4.", "<<1+1=2>>", "2", "True", "Max is shy.", ""])
TEXTS = st.builds("{}{}{}".format, SOUND, ODD | st.just(""), SOUND)


@given(
    st.lists(st.builds(Problem, TEXTS, st.lists(TEXTS, max_size=3).map(tuple), TEXTS), max_size=2)
)
@settings(max_examples=500)
@pytest.mark.parametrize("write", [write_json, write_gsm8k, write_prontoqa])
def test_what_is_written_comes_back(
    tmp_path_factory: pytest.TempPathFactory, write: Callable[..., None], problems: list[Problem]
) -> None:
    """Whatever the texts: a writer refuses, or the file gives the same problems."""
    file = tmp_path_factory.getbasetemp() / "written"
    if write is write_prontoqa:
        asks = "Max is {}. True or false: Max is shy."
        problems = [replace(p, question=asks.format(p.answer), answer="True") for p in problems]
    with suppress(ProblemError):
        write(problems, file)
        assert load_problems(file) == problems


def test_failed_writes_leave_the_old_file(file: Path) -> None:
    file.write_text("old")
    good = Problem("Sam has 4 pens.", ("<<4-2=2>>",), "2")
    for write, bad, error, message in (
        (write_json, None, ProblemError, r"problems\[1\] is None; give a Problem"),
        (write_prontoqa, good, ProblemError, "problem 1: does not ask 'True or false:'"),
        (
            write_gsm8k,
            Problem("Sam\nhas 4.", (), "2"),
            ProblemError,
            "problem 1: a line end inside",
        ),
        (write_gsm8k, Problem("Sam||has 4.", (), "2"), ProblemError, "problem 1: "),
        (write_gsm8k, Problem("Sam", ("Tom is.",), "2"), ProblemError, "1: .*no equation"),
        (write_gsm8k, Problem("Sam ", (), "2"), ProblemError, "1: this format cannot hold it"),
        (write_gsm8k, Problem("Sam", (), ""), ProblemError, "problem 1: the answer is empty"),
    ):
        first = generate_prontoqa(1, 0)[0] if write is write_prontoqa else good
        with pytest.raises(error, match=message):
            write([first, bad], file)  # type: ignore[operator]
    assert file.read_text() == "old"
    assert list(file.parent.iterdir()) == [file]
    with pytest.raises(OSError, match="nowhere"):
        write_json([english()], file.parent / "nowhere" / "x.json")


# --- refused -------------------------------------------------------------------------------------


def rows(**changes: object) -> bytes:
    return json.dumps([ROW, ROW | changes, ROW]).encode()


def examples(**changes: object) -> bytes:
    both = {"example1": EXAMPLE, "example2": EXAMPLE | changes}
    return json.dumps({name: {"test_example": row} for name, row in both.items()}).encode()


def lines(bad: bytes) -> bytes:
    return b"\n".join([LINE.encode(), b"", bad, LINE.encode()])


ROW_1 = r"row 1 \(line 1\): "
EXAMPLE_2 = r"row 1 \(example2, line 1\): key 'test_example': "
LINE_3 = r"row 1 \(line 3\): "
BAD_FILES = [
    (b"", "the file is empty; a file is Coconut's JSON"),
    (b" \n ", "the file is empty"),
    (b"Once upon a time.\n", "the format cannot be told: no .* and no || in it; a file is"),
    (b"version https://git-lfs.github.com/spec/v1\noid sha256:4d\n", "a pointer of Git LFS, not"),
    ("Sam||<<1+1=2>> #### 2".encode("utf-16"), "not UTF-8 text.*; convert it to UTF-8"),
    (b"\x89PNG\0||", "not UTF-8 text"),
    # Coconut's JSON
    (b'[{"question": "a",\n "steps" ["b"]}]', "line 2, column 10"),
    (b'[\n{"question": "\xff"}]', "line 2, column 15: byte 0xff is not UTF-8"),
    (b"[" * 100_000, "line 1, column 1: .*malformed"),
    (b"[" + b"9" * 5000 + b"]", "line 1, column 1: "),
    (b'[{"question": "a", "answer": "1"},]', "line 1, column 35: Expecting value"),
    (b'[{"question": "a", "answer": "1"} 2]', "line 1, column 35: Expecting ',' delimiter"),
    (b"[]\n[]", "line 2, column 1: Extra data"),
    (b'[\n{"answer": "1", "answer": "2"}]', "line 2, column 1: the key 'answer' occurs twice"),
    (b'{"a": {"b": 1, "b": 2}}', "line 1, column 1: the key 'b' occurs twice"),
    (b"[null]", r"row 0 \(line 1\): expected keys and values, found null"),
    (b'{"train": [{"question": "a"}]}', r"row 0 \(train, line 1\): expected .* found list"),
    (b'[{"instruction": "a", "output": "b"}]', "row 0 .*'question' is missing; .* instruction, o"),
    *((json.dumps([{k: v for k, v in ROW.items() if k != key}]).encode(),
       rf"row 0 \(line 1\): key '{key}' is missing; there are ") for key in ROW),
    (rows(question=None), ROW_1 + "key 'question' is null, not str"),
    (rows(answer=2), ROW_1 + "key 'answer' is int, not str"),
    (rows(steps="one"), ROW_1 + "key 'steps' is str, not list"),
    (rows(steps=["one", 2]), ROW_1 + "key 'steps': entry 1 is int, not str"),
    (rows(answer=" "), ROW_1 + "the answer is empty; fill it in"),
    (rows(question=""), ROW_1 + "the question is empty"),
    (rows(steps=["b", ""]), ROW_1 + "step 2 is empty"),
    (rows(idx_to_symbol="Tom"), ROW_1 + "key 'idx_to_symbol' is str, not list"),
    (rows(idx_to_symbol=["Tom"] * 7), ROW_1 + "duplicate name 'Tom': nodes 0 and 1"),
    (rows(edges=[[0, 2], [1]]), ROW_1 + r"key 'edges': entry 1 is \[1\], not \[parent, child\]"),
    (rows(edges=[[0, True]]), ROW_1 + "key 'edges': entry 0: entry 1 is bool, not int"),
    (rows(edges=[*ROW["edges"], [4, 2]]), ROW_1 + "the graph has a cycle: "),  # type: ignore[misc]
    (rows(root=True), ROW_1 + "key 'root' is bool, not int"),
    (rows(target="4"), ROW_1 + "key 'target' is str, not int"),
    (rows(neg_target=4), ROW_1 + "target and distractor are the same node"),
    (rows(steps=ROW["steps"][1:]), ROW_1 + "step 1 starts at yumpus"),  # type: ignore[index]
    # the files of ProntoQA's generator
    (b'{"example1": 3}', r"row 0 \(example1, line 1\): expected keys and values, found int"),
    (b'{"example1": {}}', r"row 0 \(example1, line 1\): key 'question' is missing; .* no keys"),
    (b'{"a": {"test_example": {}}}', "row 0 .*: key 'test_example': key 'question' is missing"),
    (b'{"example1"', "line 1, column 12: .*cut off"),
    (examples(question=None), EXAMPLE_2 + "key 'question' is null, not str"),
    (examples(query=3), EXAMPLE_2 + "key 'query' is int, not str"),
    (examples(chain_of_thought="Max."), EXAMPLE_2 + "key 'chain_of_thought' is str, not list"),
    (examples(chain_of_thought=["Max.", 1]), EXAMPLE_2 + ".*entry 1 is int"),
    (examples(chain_of_thought=["Max is shy.", "", ""]), r"row 1 \(example2, .*step 2 is empty"),
    (examples(answer=""), "row 1 .*the answer is empty; fill it in"),
    (examples(answer="Maybe"), "row 1 .*key 'answer' is 'Maybe'; it must be 'True' or 'False'"),
    (examples(query="Is Max wooden?"), "row 1 .*the question does not ask 'True or false:'"),
    (examples(query="True or false: who?"), r"row 1 .*cannot read the query 'who\?'"),
    (examples(question="Max is a vumpus. Wood floats."), "row 1 .*fact 2 cannot be read: 'Wood"),
    # iCoT's text
    (b"Sam||<<1+1=2>> #### 2\nEva has 4 pens.", r"row 1 \(line 2\): no \|\| after the question"),
    (lines(b"Sam||<<4-2=2>> 4"), LINE_3 + "no #### before the answer"),
    (lines(b"Sam||<<4-2=2>> so <<1+1=2>> #### 2"), LINE_3 + "'so' is no equation; write <<3"),
    (lines(b"Sam||<<4-2=2>> <<1+1=2 #### 2"), LINE_3 + "'<<1[+]1=2' is no equation"),
    (lines(b"Sam||<<4-2=2>> <<apples>> #### 2"), LINE_3 + "step 2: '<<apples>>' is no equation"),
    (lines(b"Sam||<<4-2>> #### 2"), LINE_3 + "step 1: '<<4-2>>' is no equation"),
    (lines(b"Sam||<<4-2=2>> ####  "), LINE_3 + "the answer is empty"),
    (lines(b" ||<<4-2=2>> #### 2"), LINE_3 + "the question is empty"),
    (lines("Zoë||#### 2".encode("latin-1")), "line 3, column 3: byte 0xeb is not UTF-8; convert"),
    (lines(b"Zo\0||#### 2"), "not UTF-8 text"),
    (lines(b"A||#### 1\rB||#### 2"), LINE_3 + "a line end inside; end each line with a line"),
    (lines(b"A||#### 1B||#### 2"), LINE_3 + "a second || or ####: a line end is missing"),
    # JSON Lines
    (b'{"question": "a", "answer": "1"}\n{"question": "b"}', r"row 1 \(line 2\): key 'steps' is"),
    (b'{"question": "a", "answer": "1"}\n\n{"question": ', "line 3, column 14: .*cut off"),
    (b'{"question": "a", "answer": "1"}{"question": "b", "answer": "2"}', "line 1, .*Extra data"),
    (b'{"question": "a", "answer": "1"}\r{"question": "b", "answer": "2"}', "line 1, .*Extra"),
    (b'{"question": "a", "answer": "\\ud800 1", "steps": []}', "row 0 .*: the answer holds"),
]  # fmt: skip


@pytest.mark.parametrize(("content", "message"), BAD_FILES)
def test_bad_files_are_named(file: Path, content: bytes, message: str) -> None:
    file.write_bytes(content)
    with pytest.raises(ProblemError, match=f"data: {message}"):
        load_problems(file)


def test_a_line_beyond_the_limit_is_not_read(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file.write_bytes(lines(b"bad"))
    assert len(load_problems(file, limit=1)) == 1
    monkeypatch.setattr(gsm8k, "LONGEST_LINE", 5000)
    file.write_text(LINE + "\n" + LINE.replace("pens", "pens " * 2000))
    with pytest.raises(ProblemError, match=r"row 1 \(line 2\): longer than 5,000 characters; one"):
        load_problems(file)


def test_a_file_that_cannot_be_read_is_named(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(path: Path) -> bytes:
        raise PermissionError(13, "Permission denied")

    file.write_text(LINE)
    monkeypatch.setattr(Path, "read_bytes", refuse)
    with pytest.raises(ProblemError, match="data: cannot be read: Permission denied"):
        load_problems(file)


@given(st.data())
@settings(max_examples=100, deadline=None)
def test_truncated_json_is_refused(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    text = json.dumps([ROW, PLAIN], indent=data.draw(st.sampled_from([None, 2])))
    cut = data.draw(st.integers(1, len(text) - 1))
    path = tmp_path_factory.mktemp("cut") / "cut.json"
    path.write_text(text[:cut])
    for limit in (None, 1):
        with pytest.raises(ProblemError, match=r"cut\.json: line \d+, column \d+: .*cut off"):
            load_problems(path, limit=limit)


@pytest.mark.parametrize(
    ("start", "end", "message"),
    [
        (b"", b"", "the format cannot be told: "),
        (b"Sam||", b"#### 2", r"row 0 \(line 1\): longer than 1,000,000 characters"),
        (
            b'[{"answer": "1", "steps": [], "question": "',
            b'"}]',
            r"row 0 \(line 1\): the question has 100,000,",
        ),
    ],
    ids=["plain", "text", "json"],
)
def test_a_line_of_100_megabytes(file: Path, start: bytes, end: bytes, message: str) -> None:
    file.write_bytes(start + b"x" * 100_000_000 + end)
    with pytest.raises(ProblemError, match=f"data: {message}"):
        load_problems(file)


N = 990_000
CHAIN = [[i + 1, i] for i in range(30_000)]
HARD = {
    "step": "Q||<<" + " " * (N // 2) + "=" + " " * (N // 2) + "1<>> #### 1",
    "blanks": rows(question="a" + " " * N + "b").decode(),
    "lines": rows(question="a\n " * (N // 4)).decode(),
    "marks": rows(question="[Q]" * (N // 3)).decode(),
    "cycle": rows(idx_to_symbol=[f"n{i}" for i in range(30_001)],
                  edges=[*CHAIN, [29_999, 30_000]]).decode(),
    "english": rows(question="Tom is a y. " * 60_000, steps=["Tom is a y."] * 9_000).decode(),
    "example": examples(question="Max is" + " " * N + ".").decode(),
    "names": rows(answer="x" * N, question="Tom is a " + "x" * N + ".").decode(),
    "keys": json.dumps({"k" * N: {"question": 1}}),
}  # fmt: skip


@pytest.mark.timeout(120)  # each takes less than a second; some took minutes
@pytest.mark.parametrize("name", HARD)
def test_a_hard_megabyte_is_refused_at_once_in_a_line(file: Path, name: str) -> None:
    file.write_text(HARD[name])
    with pytest.raises(ProblemError) as caught:
        load_problems(file)
    assert len(str(caught.value).splitlines()) == 1 and len(str(caught.value)) < 2000


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
        (lambda row: row | {"answer": 4}, "row 0: key 'answer' is int, not str"),
        (lambda row: row | {"steps": "<<2+2=4>>"}, "row 0: key 'steps' is str, not list"),
        (lambda row: row | {"question": None}, "row 0: key 'question' is null, not str"),
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
