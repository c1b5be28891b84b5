"""ProntoQA: sentences, the published format, proofs against a naive solver, and fairness."""

from __future__ import annotations

import json
import re
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from published import PRONTOQA, needs_published

from coconut_lab.tasks.loading import load_problems
from coconut_lab.tasks.notation import split_sentences
from coconut_lab.tasks.problems import Problem, ProblemError
from coconut_lab.tasks.prontoqa import (
    ORDERINGS,
    PROPERTIES,
    answer_fault,
    generate_prontoqa,
    step_faults,
)
from coconut_lab.tasks.prontoqa_logic import (
    STYLES,
    Literal,
    parse_question,
    read_literal,
    write_literal,
)
from coconut_lab.tasks.prosqa import CONCEPTS, ENTITIES
from coconut_lab.tasks.shortcuts import prontoqa_shortcuts
from coconut_lab.tasks.verify import shortcut_audit, verify_steps

# --- an independent reader and solver ----------------------------------------------------------


def plain(sentence: str) -> tuple[str, str]:
    """A sentence as (subject, predicate): "not" stays in the predicate, plurals and articles go."""
    words = sentence.rstrip(".").split()
    if words[0] in ("Each", "Every"):
        words = words[1:]
    elif words[1] == "are":
        words = [words[0].lower().removesuffix("es"), *words[1:]]
    words = [word for word in words if word not in ("is", "are", "a", "an")]
    last = words[-1].removesuffix("es") if words[-1].endswith("puses") else words[-1]
    return words[0], " ".join([*words[1:-1], last])


def solve(question: str) -> set[bool]:
    """What the facts say about the query, by trying all rules until nothing is new."""
    text, query = question.split(" True or false: ")
    pairs = [plain(sentence + ".") for sentence in text.rstrip(".").split(". ")]
    who, asked = plain(query)
    known = {who}
    while more := {b for a, b in pairs if a in known} - known:
        known |= more
    other = asked.removeprefix("not ") if asked.startswith("not ") else f"not {asked}"
    return {True} & {asked in known} | ({False} if other in known else set())


# --- sentences ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("sentence", "literal"),
    [
        ("Max is a vumpus.", Literal("Max", "vumpus", False, True)),
        ("Max is an impus.", Literal("Max", "impus", False, True)),
        ("Max is not wooden.", Literal("Max", "wooden", False, False, True)),
        ("Each vumpus is a brimpus.", Literal("vumpus", "brimpus", True, True)),
        ("every impus is not an impus", Literal("impus", "impus", True, True, True)),
        ("Every vumpus is not wooden.", Literal("vumpus", "wooden", True, False, True)),
        ("Vumpuses are brimpuses.", Literal("vumpus", "brimpus", True, True)),
        ("Vumpuses are not nervous.", Literal("vumpus", "nervous", True, False, True)),
        ("Lorpuses are luminous.", Literal("lorpus", "luminous", True, False)),
        *((other, None) for other in ("", "Max.", "Is Max wooden?", "Max is", "Each is wooden.")),
        ("Vumpus are wooden.", None),
        ("Max is very shy.", None),
        # real words, and the generator's own odd plurals
        ("Each sheep is a cow.", Literal("sheep", "cow", True, True)),
        ("Sheep are not furry.", Literal("sheep", "furry", True, False, True)),
        ("Butterflies are lepidopterans.", Literal("butterfly", "lepidopteran", True, True)),
        ("Cats are carnivorous.", Literal("cat", "carnivorous", True, False)),
        ("Spiders are bacteria.", Literal("spider", "bacteria", True, True)),
        ("Fishes are mosses.", Literal("fish", "moss", True, True)),
        ("Worpus are roses.", Literal("worpus", "rose", True, True)),
        ("31 is a Mersenne prime.", Literal("31", "mersenne prime", False, True)),
        (
            "Mersenne primes are prime numbers.",
            Literal("mersenne prime", "prime number", True, True),
        ),
        (
            "Every real number is not imaginary.",
            Literal("real number", "imaginary", True, False, True),
        ),
        (
            "Painted ladies are not eight-legged.",
            Literal("painted lady", "eight-legged", True, False, True),
        ),
    ],
)
def test_forms_of_sentences(sentence: str, literal: Literal | None) -> None:
    assert read_literal(sentence) == literal


@given(
    st.sampled_from(CONCEPTS),
    st.sampled_from(ENTITIES),
    st.sampled_from((*CONCEPTS, *PROPERTIES)),
    st.booleans(),
    st.booleans(),
    st.sampled_from(STYLES),
)
def test_every_literal_comes_back(
    noun: str, name: str, what: str, general: bool, negated: bool, style: str
) -> None:
    literal = Literal(noun if general else name, what, general, what in CONCEPTS, negated)
    assert read_literal(write_literal(literal, style)) == literal
    assert literal.opposite.opposite == literal != literal.opposite


# --- the published file ------------------------------------------------------------------------


@needs_published
def test_every_published_row_is_read_and_holds() -> None:
    problems = load_problems(PRONTOQA)
    raw = [row["test_example"] for row in json.loads(PRONTOQA.read_text()).values()]
    assert len(problems) == len(raw) == 200
    for one, row in zip(problems, raw, strict=True):
        assert one.question == f"{row['question']} {row['query']}"
        assert " ".join(one.steps) == " ".join(row["chain_of_thought"])
        assert [step.count(".") for step in one.steps] == [2, 2, 2, 2, 2, 1]
        assert step_faults(one) == [None] * 6
        assert answer_fault(one) is None
        assert solve(one.question) == {one.answer == "True"}
        # Every sentence of the file is one that we write ourselves.
        for sentence in re.split(r"(?<=\.) ", row["question"]):
            literal = read_literal(sentence)
            assert literal is not None
            assert sentence in [write_literal(literal, style) for style in STYLES]


@needs_published
def test_a_change_in_any_published_step_is_found() -> None:
    for one in load_problems(PRONTOQA):
        for place, step in enumerate(one.steps):
            first = step.split(". ")[0].rstrip(".") + "."
            flipped = first.replace(" is not ", " is ") if " is not " in first else None
            flipped = flipped or first.replace(" is ", " is not ").replace(" are ", " are not ")
            changed = (*one.steps[:place], step.replace(first, flipped), *one.steps[place + 1 :])
            faults = step_faults(replace(one, steps=changed))
            assert faults[place] is not None
            assert faults[:place] == [None] * place


@needs_published
def test_shortcuts_of_the_published_file() -> None:
    scores = prontoqa_shortcuts(load_problems(PRONTOQA))
    assert scores["believe the concept mentioned more often"] == 1.0
    assert scores["believe the concept to which more facts lead"] == 1.0
    assert scores["always True"] == 101 / 200
    assert scores["False if the query says 'not'"] == (53 + 50) / 200
    assert scores["believe the fact stated last"] == 105 / 200


# Problems as the published generator writes them with --ontology true.
REAL = [
    (
        "Felines are carnivores. Mammals are furry. Each cat is a feline. Every carnivore is not "
        "herbivorous. Sheep are not furry. Carnivores are mammals. Mammals are vertebrates. "
        "Every vertebrate is an animal. Fae is a cat.",
        "True or false: Fae is furry.",
        "Fae is a cat. Each cat is a feline. Fae is a feline. Felines are carnivores. Fae is a "
        "carnivore. Carnivores are mammals. Fae is a mammal. Mammals are furry. Fae is furry.",
        "True",
    ),
    (
        "Real numbers are not imaginary. Mersenne primes are prime numbers. Each prime number is a "
        "natural number. Complex numbers are imaginary. Natural numbers are integers. Every "
        "integer is a real number. Real numbers are numbers. 31 is a Mersenne prime.",
        "True or false: 31 is imaginary.",
        "31 is a Mersenne prime. Mersenne primes are prime numbers. 31 is a prime number. Each "
        "prime number is a natural number. 31 is a natural number. Natural numbers are integers. "
        "31 is an integer. Every integer is a real number. 31 is a real number. Real numbers are "
        "not imaginary. 31 is not imaginary.",
        "False",
    ),
]


def test_real_words_are_read_verified_and_audited(tmp_path: Path) -> None:
    keys = "question", "query", "chain_of_thought", "answer"
    rows = [(*texts[:2], split_sentences(texts[2]), texts[3]) for texts in REAL]
    file = tmp_path / "real.json"
    file.write_text(
        json.dumps(
            {
                f"example{n}": {"test_example": dict(zip(keys, row, strict=True))}
                for n, row in enumerate(rows)
            }
        )
    )
    problems = load_problems(file)
    found = verify_steps(problems)
    assert (found.problems, found.steps, found.failures, found.answers) == (2, 11, (), ())
    assert shortcut_audit(problems)["believe the concept to which more facts lead"] == 1
    wrong = replace(problems[0], question=problems[0].question.replace("Each cat", "Each dog"))
    assert [one.step for one in verify_steps([wrong]).failures] == [1]
    assert verify_steps([wrong]).answers


# --- the generator -----------------------------------------------------------------------------


@given(
    seed=st.integers(0, 2**40),
    hops=st.integers(1, 8),
    distractors=st.integers(0, 8),
    ordering=st.sampled_from(ORDERINGS),
)
@settings(max_examples=60)
def test_every_problem_is_right(seed: int, hops: int, distractors: int, ordering: str) -> None:
    options = {"hops": hops, "distractors": distractors, "ordering": ordering}
    problems = generate_prontoqa(5, seed, **options)  # type: ignore[arg-type]
    assert problems[:2] == generate_prontoqa(2, seed, **options)  # type: ignore[arg-type]
    for one in problems:
        assert step_faults(one) == [None] * (hops + 1)
        assert answer_fault(one) is None
        assert solve(one.question) == {one.answer == "True"}
        question = parse_question(one.question)
        assert len(question.facts) == len(set(question.facts)) == 2 * (hops + 1 + distractors)
        told = [f for f in question.facts if f.predicate == question.query.predicate]
        assert sorted(f.negated for f in told) == [False, True]
        people = [fact.general for fact in question.facts]
        assert people == sorted(people, reverse=True)  # individuals come last
        for fact in question.facts:
            names = {fact.subject, fact.predicate}
            assert names <= {*CONCEPTS, *PROPERTIES, *ENTITIES}


def test_the_default_looks_like_the_published_problems() -> None:
    for one in generate_prontoqa(20, 3):
        assert [step.count(".") for step in one.steps] == [2, 2, 2, 2, 2, 1]
        assert len(parse_question(one.question).facts) == 24


def test_orderings_run_along_the_chain() -> None:
    for ordering, sign in (("forward", 1), ("backward", -1)):
        for one in generate_prontoqa(20, 1, ordering=ordering):
            rules = [step.split(". ")[1] for step in one.steps[:-1]]
            places = [one.question.index(rule.rstrip(".") + ".") for rule in rules]
            assert places == sorted(places)[::sign]
    mixed = generate_prontoqa(20, 1)
    texts = {one.question for one in mixed}
    assert not texts & {one.question for one in generate_prontoqa(20, 1, ordering="forward")}


def test_hops_can_be_a_range() -> None:
    lengths = Counter(len(one.steps) - 1 for one in generate_prontoqa(60, 0, hops=(2, 4)))
    assert lengths == {2: 20, 3: 20, 4: 20}


# --- checks and shortcuts ----------------------------------------------------------------------

ONE = Problem(
    "Each vumpus is wooden. Lorpuses are not wooden. Max is a vumpus. "
    "True or false: Max is wooden.",
    ("Max is a vumpus. Each vumpus is wooden.", "Max is wooden."),
    "True",
)


NOWHERE = "'Max is wooden.' is neither stated nor follows"


@pytest.mark.parametrize(
    ("changes", "faults", "answer"),
    [
        ({}, [None, None], None),
        ({"answer": "False"}, [None, None], "answer is False, but the stated facts make .* True"),
        ({"steps": ONE.steps[:1]}, [None], "the steps end with 'Each vumpus is wooden.'"),
        ({"steps": ()}, [], None),
        ({"steps": ONE.steps[1:]}, [NOWHERE], None),
        # the rule without the fact that Max is a vumpus, and the fact without the rule
        ({"steps": ("Each vumpus is wooden. Max is wooden.",)}, [NOWHERE], None),
        ({"steps": ("Max is a vumpus. Max is wooden.",)}, [NOWHERE], None),
        ({"steps": ("Hm.", *ONE.steps)}, ["cannot read 'Hm.'", None, None], None),
        ({"steps": ("Max is a vumpus. Each vumpus is not wooden.", "Max is not wooden.")},
         ["contradicts a stated fact", None], "the steps end with 'Max is not wooden.'"),
        ({"steps": (), "question": ONE.question.replace("Max is a", "Sam is a")},
         [], "decide neither the query nor its opposite"),
        ({"question": "Vumpuses are lorpuses. " + ONE.question},
         [None, None], "both the query and its opposite"),
    ],
)  # fmt: skip
def test_faults_are_named(
    changes: dict[str, object], faults: list[str | None], answer: str | None
) -> None:
    one = replace(ONE, **changes)  # type: ignore[arg-type]
    found = step_faults(one)
    assert len(found) == len(faults)
    for got, want in zip(found, faults, strict=True):
        assert (got is None) == (want is None)
        assert want is None or want in str(got)
    wrong = answer_fault(one)
    assert (wrong is None) == (answer is None)
    assert answer is None or re.search(answer, str(wrong))


def test_a_cycle_of_rules_ends() -> None:
    text = "Each vumpus is a lorpus. Each lorpus is a vumpus. Max is a lorpus. "
    one = Problem(text + "True or false: Max is a vumpus.", (), "True")
    assert answer_fault(one) is None


def test_shortcuts_where_there_is_nothing_to_choose() -> None:
    scores = prontoqa_shortcuts([replace(ONE, question=ONE.question.replace("Lorp", "Imp"))])
    assert scores["believe the fact stated first"] == 1 == scores["always True"]
    assert scores["believe the fact stated last"] == 0
    alone = ONE.question.replace("Lorpuses are not wooden. ", "")
    scores = prontoqa_shortcuts([replace(ONE, question=alone)])
    assert scores["believe the fact stated first"] == scores["believe the fact stated last"] == 1
    none = prontoqa_shortcuts([replace(ONE, question="Max is shy. True or false: Max is wooden.")])
    assert none["believe the fact stated first"] == 0.5
    with pytest.raises(ProblemError, match="problem 1: the question does not ask"):
        prontoqa_shortcuts([ONE, replace(ONE, question="Why?")])
