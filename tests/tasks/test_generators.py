"""What all generators share: the same everywhere, right, fair, and strict about arguments."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from coconut_lab.tasks.gsm8k import write_gsm8k
from coconut_lab.tasks.json_files import write_json
from coconut_lab.tasks.loading import load_problems
from coconut_lab.tasks.problems import Problem, ProblemError
from coconut_lab.tasks.prontoqa import ORDERINGS, generate_prontoqa, write_prontoqa
from coconut_lab.tasks.prosqa import PRESETS, generate_prosqa
from coconut_lab.tasks.verify import shortcut_audit, verify_steps
from coconut_lab.tasks.word_problems import generate_arithmetic

Make = Callable[..., list[Problem]]
TINY = PRESETS["tiny"]

# The start of the SHA-256 of 20 problems of seed 0. A change means that every shipped model was
# trained on other problems than its card says.
FINGERPRINTS = [
    (generate_prosqa, {"preset": "tiny"}, "2d488c5ac6017a35"),
    (generate_prosqa, {"preset": "small"}, "5b53a6e7ac1bcbed"),
    (generate_prosqa, {"preset": "paper"}, "bedf8ce3ef7532de"),
    (generate_prontoqa, {}, "4b5400cfa947a369"),
    (generate_arithmetic, {}, "60bca54247776bf5"),
]


@pytest.mark.parametrize(("make", "options", "fingerprint"), FINGERPRINTS)
def test_same_problems_on_every_machine(
    make: Make, options: dict[str, object], fingerprint: str
) -> None:
    text = repr(make(20, 0, **options))
    assert hashlib.sha256(text.encode()).hexdigest()[:16] == fingerprint
    texts = {one.question for seed in range(20) for one in make(20, seed, **options)}
    assert len(texts) == 400  # seeds differ


@given(st.sampled_from(FINGERPRINTS), st.integers(0, 2**64), st.integers(0, 6), st.integers(0, 6))
@settings(max_examples=60)
def test_a_list_starts_with_every_shorter_list(
    case: tuple[Make, dict[str, object], str], seed: int, less: int, more: int
) -> None:
    make, options, _ = case
    long = make(less + more, seed, **options)
    assert make(less, seed, **options) == long[:less]
    assert len(long) == less + more
    verify_steps(long).require()


@pytest.mark.parametrize(
    ("make", "options", "highest"),
    [
        *((generate_prosqa, {"preset": name}, 0.55) for name in PRESETS),
        *((generate_prontoqa, {"ordering": ordering}, 0.54) for ordering in ORDERINGS),
        (generate_arithmetic, {}, 0.04),
    ],
)
def test_no_shortcut_works(make: Make, options: dict[str, object], highest: float) -> None:
    rule, score = next(iter(shortcut_audit(make(2000, 2024, **options)).items()))
    assert score <= highest, rule


@pytest.mark.parametrize(
    ("make", "write"),
    [
        (generate_prosqa, write_json),
        (lambda count, seed: generate_prosqa(count, seed, "paper", "english"), write_json),
        (generate_prontoqa, write_json),
        (generate_prontoqa, write_prontoqa),
        (generate_arithmetic, write_json),
        (generate_arithmetic, write_gsm8k),
    ],
)
@pytest.mark.parametrize("name", ["data.json", "data.txt", "data"])
def test_written_problems_come_back(
    tmp_path: Path, make: Make, write: Callable[..., None], name: str
) -> None:
    """The format of a file is told by its content, whatever its name."""
    problems, file = make(30, 5), tmp_path / name
    write(problems, file)
    for source in (file, str(file)):
        assert load_problems(source) == problems
        assert load_problems(source, split="anything", limit=2) == problems[:2]
        assert load_problems(source, limit=0) == []


@pytest.mark.parametrize(
    ("make", "arguments", "message"),
    [
        (generate_prosqa, {"count": -1}, "count=-1; give a whole number from 0 on"),
        (generate_prosqa, {"count": 1.5}, "count is 1.5; give a whole number"),
        (generate_prosqa, {"seed": -1}, "seed=-1"),
        (generate_prosqa, {"seed": "one"}, "seed is 'one'"),
        (generate_prosqa, {"preset": "huge"}, "preset='huge'; there are tiny, small, paper"),
        (generate_prosqa, {"notation": "french"}, "'french'; there are 'symbols' and 'english'"),
        (generate_prosqa, {"hops": 0}, "hops=0"),
        (generate_prosqa, {"hops": "two"}, "hops is 'two'; give a whole number or"),
        (generate_prosqa, {"nodes": (10, 11, 12)}, r"nodes=\(10, 11, 12\); give"),
        (generate_prosqa, {"hops": (3, 2)}, r"hops=\(3, 2\)"),
        (generate_prosqa, {"hops": 5}, "5 hops need at least 12 nodes, but a graph may have 10"),
        (generate_prosqa, {"nodes": 7}, "3 hops need at least 8 nodes"),
        (generate_prosqa, {"nodes": 15}, "15 nodes need 13 names of concepts, but .*'tiny' has 8"),
        (generate_prosqa, {"preset": replace(TINY, hops={})}, "hops needs numbers and counts abo"),
        (generate_prosqa, {"preset": replace(TINY, nodes={9: 0})}, "nodes needs numbers and count"),
        (generate_prosqa, {"preset": replace(TINY, mean_parents=0)}, "mean_parents=0"),
        (generate_prosqa, {"preset": replace(TINY, newcomers=2)}, "newcomers=2"),
        (generate_prosqa, {"preset": replace(TINY, entities=("Tom",))}, "than two names of ent"),
        (generate_prontoqa, {"count": -1}, "count=-1; give a whole number from 0 on"),
        (generate_prontoqa, {"seed": 0.5}, "seed is 0.5"),
        (generate_prontoqa, {"distractors": -1}, "distractors=-1"),
        (generate_prontoqa, {"hops": 0}, "hops=0; give a number above 0"),
        (generate_prontoqa, {"hops": 14}, "14 hops and 6 distractors may need 40 concepts, but"),
        (generate_prontoqa, {"ordering": "sorted"}, "there are random, forward, backward"),
        (generate_arithmetic, {"count": -1}, "count=-1"),
        (generate_arithmetic, {"seed": True}, "seed is True"),
        (generate_arithmetic, {"steps": 0}, "steps=0; give a number above 0"),
        (generate_arithmetic, {"steps": 8}, "steps=8; there are names for at most 7 steps"),
        (generate_arithmetic, {"largest": 19}, "largest=19; give at least 20"),
        (generate_arithmetic, {"largest": 99.0}, "largest is 99.0; give a whole number"),
    ],
)
def test_bad_arguments_are_named(make: Make, arguments: dict[str, object], message: str) -> None:
    with pytest.raises(ProblemError, match=message):
        make(**({"count": 1, "seed": 0} | arguments))
