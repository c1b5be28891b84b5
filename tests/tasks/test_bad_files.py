"""Files that are refused: what is wrong, and the place of it, in one line."""

from __future__ import annotations

import json
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from test_files import EXAMPLE, LINE, PLAIN, ROW

from coconut_lab.tasks import gsm8k
from coconut_lab.tasks.loading import load_problems
from coconut_lab.tasks.problems import ProblemError


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
