"""Files of problems: exact round trips, and what is refused."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from example_problem import EDGES, ENGLISH, NAMES, english
from hypothesis import given, settings
from hypothesis import strategies as st
from published import PROSQA, needs_published

from coconut_lab.tasks.json_files import read_json, write_json
from coconut_lab.tasks.loading import load_problems
from coconut_lab.tasks.problems import Problem, ProblemError, verify

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


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "problems.json"


def test_json_round_trip_is_exact(file: Path) -> None:
    text = json.dumps([ROW, PLAIN])
    file.write_text(text)
    problems = read_json(file)
    assert problems == [english(), Problem("What is 1 + 1?", ("<<1+1=2>>",), "2")]
    write_json(problems, file)
    assert file.read_text() == text  # key order too
    assert list(file.parent.iterdir()) == [file]


@needs_published
def test_published_file(file: Path) -> None:
    problems = load_problems(PROSQA)
    assert len(problems) == 300
    for number, one in enumerate(problems):
        verify(one)
        assert one.graph is not None
        assert one.graph.hops == len(one.steps), number
        assert one.in_symbols().in_english() == one, number
        verify(one.in_symbols())
    assert load_problems(str(PROSQA), limit=7) == problems[:7]
    write_json(problems, file)
    assert file.read_bytes() == PROSQA.read_bytes()


def test_failed_write_leaves_the_old_file(file: Path) -> None:
    file.write_text("old")
    with pytest.raises(AttributeError):
        write_json([english(), None], file)  # type: ignore[list-item]
    assert file.read_text() == "old"
    assert list(file.parent.iterdir()) == [file]
    with pytest.raises(OSError, match="nowhere"):
        write_json([english()], file.parent / "nowhere" / "x.json")


@given(st.data())
@settings(max_examples=100, deadline=None)
def test_truncated_json_is_refused(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    text = json.dumps([ROW, PLAIN], indent=data.draw(st.sampled_from([None, 2])))
    cut = data.draw(st.integers(0, len(text) - 1))
    path = tmp_path_factory.mktemp("cut") / "cut.json"
    path.write_text(text[:cut])
    with pytest.raises(ProblemError, match=r"cut\.json: line \d+, column \d+: .*cut off"):
        read_json(path)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "line 1, column 1"),
        (b'[{"question": "a",\n "steps" ["b"]}]', "line 2, column 10"),
        (b'[\n{"question": "\xff"}]', "line 2, column 15: not UTF-8"),
        (b"[" * 100_000, "line 1, column 1: .*malformed"),
        (b"[" + b"9" * 5000 + b"]", "line 1, column 1: "),
        (b"{}", "expected a list of problems, found dict"),
        (b"[null]", "row 0: expected keys and values, found null"),
    ],
)
def test_malformed_json_names_the_place(file: Path, content: bytes, message: str) -> None:
    file.write_bytes(content)
    with pytest.raises(ProblemError, match=rf"problems\.json: {message}"):
        read_json(file)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"question": None}, "key 'question' is null, not str"),
        ({"answer": 2}, "key 'answer' is int, not str"),
        ({"steps": "one"}, "key 'steps' is str, not list"),
        ({"steps": ["one", 2]}, "key 'steps': entry 1 is int, not str"),
        ({"idx_to_symbol": "Tom"}, "key 'idx_to_symbol' is str, not list"),
        ({"idx_to_symbol": ["Tom"] * 7}, "duplicate name 'Tom': nodes 0 and 1"),
        ({"edges": [[0, 2], [1]]}, r"key 'edges': entry 1 is \[1\], not \[parent, child\]"),
        ({"edges": [[0, True]]}, r"key 'edges': entry 0 is \[0, True\]"),
        ({"edges": [*ROW["edges"], [4, 2]]}, "the graph has a cycle: "),  # type: ignore[misc]
        ({"root": True}, "key 'root' is bool, not int"),
        ({"target": "4"}, "key 'target' is str, not int"),
        ({"neg_target": 4}, "target and distractor are the same node"),
        ({"steps": ROW["steps"][1:]}, "step 1 starts at yumpus"),  # type: ignore[index]
    ],
)
def test_bad_row_is_named(file: Path, changes: dict[str, object], message: str) -> None:
    file.write_text(json.dumps([ROW, ROW | changes, ROW]))
    with pytest.raises(ProblemError, match=rf"problems\.json: row 1: {message}"):
        read_json(file)


@pytest.mark.parametrize("key", list(ROW))
def test_missing_key_is_named(file: Path, key: str) -> None:
    file.write_text(json.dumps([{name: value for name, value in ROW.items() if name != key}]))
    with pytest.raises(ProblemError, match=f"row 0: key '{key}' is missing"):
        read_json(file)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(ProblemError, match=r"absent\.json: cannot be read: No such file"):
        read_json(tmp_path / "absent.json")
