"""The curriculum view without a browser: set values, read the picture."""

import re

import pytest
from explorer_models import random_checkpoint, spelling_checkpoint
from hypothesis import given
from hypothesis import strategies as st
from pictures import every, parsed, part, said

from coconut_lab.curriculum.batching import collate
from coconut_lab.curriculum.stages_and_masks import IGNORED, METHODS, Curriculum, tokenize
from coconut_lab.curriculum.tokenizer import add_pause_token, word_tokenizer
from coconut_lab.explorers import CurriculumView
from coconut_lab.explorers.curriculum.drawing import loss_in_words, render, strip
from coconut_lab.explorers.curriculum.state import read_curriculum
from coconut_lab.tasks.problems import Problem, ProblemError
from coconut_lab.tasks.prosqa import PRESETS, generate_prosqa

PRESET = PRESETS["tiny"]
TOKENIZER = word_tokenizer([*PRESET.entities, *PRESET.concepts])
add_pause_token(TOKENIZER)
SPELLING = spelling_checkpoint().tokenizer
add_pause_token(SPELLING)
PROBLEM = generate_prosqa(1, 5, hops=3)[0]
SPECIAL = {"<bot>": "B", "<eot>": "E", "<thought>": "T", "<pause>": "P"}


@pytest.fixture
def view() -> CurriculumView:
    return CurriculumView()


def letters(view: CurriculumView, name: str = "encoding") -> str:
    return "".join(cell.get("data-letter") for cell in every(part(view, name), "cell"))


curricula = st.builds(
    Curriculum,
    method=st.sampled_from(sorted(METHODS)),
    max_stage=st.integers(0, 5),
    thoughts_per_step=st.integers(1, 3),
    pad_to_max=st.booleans(),
)


@given(curricula, st.integers(0, 6), st.integers(0, 50), st.booleans())
def test_every_token_of_the_encoding_has_one_cell(
    curriculum: Curriculum, stage: int, seed: int, english: bool
) -> None:
    """Against `encode` and `prompt`: positions, labels, letters, counts, for every setting."""
    stage = min(stage, curriculum.max_stage + 1)
    problem = generate_prosqa(1, seed)[0]
    tokenizer = SPELLING if english else TOKENIZER
    problem = problem.in_english() if english else problem
    state = read_curriculum(problem, tokenizer, curriculum, stage)
    root = parsed(render(state))
    cells = every(part(root, "encoding"), "cell")
    ids, labels = curriculum.encode(problem, tokenizer, stage)
    there = [cell for cell in cells if cell.get("data-position") is not None]
    assert [int(cell.get("data-position")) for cell in there] == list(range(len(ids)))
    assert [int(cell.get("data-label")) for cell in there] == labels
    for cell, token, label in zip(there, ids, labels, strict=True):
        letter = cell.get("data-letter")
        if label == IGNORED:
            assert letter == SPECIAL.get(tokenizer.convert_ids_to_tokens(token), "Q")
        else:
            assert letter in "SA" and label == token
        assert cell.find("b").text == letter
    # Steps: what is dropped and what is left are the problem's steps, in order.
    parts = tokenize([problem], tokenizer)[0]
    steps = [token for step in parts.steps for token in step]
    dropped = [cell for cell in cells if cell.get("data-letter") == "D"]
    kept = [int(c.get("data-label")) for c in there if c.get("data-letter") == "S"]
    assert kept == steps[len(dropped) :]
    answer = [int(c.get("data-label")) for c in there if c.get("data-letter") == "A"]
    assert answer == parts.answer
    assert all("line-through" in cell.find("span").get("style") for cell in dropped)
    order = "".join(cell.get("data-letter") for cell in cells)
    assert re.fullmatch("Q+(B[TP]*E|P*)D*S*A+", order)

    thoughts = ids.count(tokenizer.convert_tokens_to_ids("<thought>"))
    facts = {cell.get("data-fact"): int(cell.text) for cell in every(root, "fact")}
    masked = labels.count(-100)
    assert facts == {"supervised": len(labels) - masked, "masked": masked, "fed back": thoughts,
                     "passes": thoughts + 1}  # fmt: skip
    assert len(every(part(root, "encoding"), "feedback")) == thoughts

    prompt = curriculum.prompt(problem, tokenizer, stage)
    assert [cell.position for cell in state.prompt.cells] == list(range(len(prompt)))
    wanted = [SPECIAL[tokenizer.convert_ids_to_tokens(t)] for t in prompt[len(parts.question) :]]
    assert [cell.get("data-letter") for cell in every(part(root, "prompt"), "cell")] == wanted


@given(curricula, st.integers(0, 6))
def test_the_strip_shows_every_stage_and_frames_one(curriculum: Curriculum, stage: int) -> None:
    stage = min(stage, curriculum.max_stage + 1)
    state = read_curriculum(PROBLEM, TOKENIZER, curriculum, stage)
    root = parsed(strip(state))
    rows: dict[float, list[str]] = {}
    for step in every(root, "step"):
        rows.setdefault(float(step.get("y")), []).append(step.get("data-letter"))
    wanted = [[c.letter for c in row.cells if c.letter != "Q"] for row in state.rows]
    assert [rows[y] for y in sorted(rows)] == wanted
    assert sorted(rows)[stage] == float(part(root, "current").get("y")) + 3
    width = float(root.get("viewBox").split()[2])
    edges = [float(s.get("x")) + float(s.get("width")) for s in root.iterfind(".//{*}rect")]
    assert max(edges) <= width


def test_many_stages_share_the_room_of_a_few() -> None:
    curriculum = Curriculum("icot", max_stage=60)
    for stage in (0, 17, 61):
        state = read_curriculum(PROBLEM.in_english(), SPELLING, curriculum, stage)
        described = parsed(strip(state)).find("{*}desc").text
        for at in (0, stage, 61):
            assert f"tokens {at}: " in described
        assert described.count("tokens") <= 13


def test_masked_positions_do_get_gradient() -> None:
    """What the view says of masked positions, by back-propagation through a model."""
    checkpoint = random_checkpoint()
    model, tokenizer = checkpoint.model, checkpoint.tokenizer
    curriculum = Curriculum(max_stage=3)
    state = read_curriculum(PROBLEM, tokenizer, curriculum, 2)
    seen = []

    def keep(module, inputs, output) -> None:
        output.retain_grad()
        seen.append(output)

    with model.language_model.get_input_embeddings().register_forward_hook(keep):
        output = model(**collate([curriculum.encode(PROBLEM, tokenizer, 2)], tokenizer))
    output.loss.backward()
    (embedded,) = seen
    got = set((embedded.grad[0].norm(dim=-1) > 0).nonzero().flatten().tolist())
    masked = {c.position for c in state.row.cells if c.letter in "QBE"}
    thoughts = {c.position for c in state.row.cells if c.letter == "T"}
    assert masked <= got
    # A thought has no embedding: what it gets goes to the position that it was fed back from.
    assert not thoughts & got
    assert len(masked | thoughts) == state.row.masked
    last = len(embedded[0]) - 1  # nothing looks at the end of sequence
    assert got == set(range(last)) - thoughts


@pytest.mark.parametrize(
    ("stage", "words"),
    [(0, "every step, the answer"), (1, "what is left of the steps"), (3, "only the answer")],
)
def test_the_loss_in_words(stage: int, words: str) -> None:
    state = read_curriculum(PROBLEM, TOKENIZER, Curriculum(max_stage=3), stage)
    assert words in loss_in_words(state)
    assert f"{6 - stage} tokens" in loss_in_words(state)


# --- controls -----------------------------------------------------------------------------------


def test_sliders_change_the_picture(view) -> None:
    assert (view.method.value, view.stage.value) == ("coconut", 1)
    view.thoughts_per_step.value = view.stage.value = 2
    assert letters(view).lstrip("Q") == "BTTTTEDDSAAA"
    assert letters(view, "prompt") == "BTTTTE"
    assert "2·c = 2·2 = 4 thoughts" in said(view, "replaced")
    assert view.picture.value == render(view.state)


def test_the_stage_stays_within_reach(view) -> None:
    view.stage.value = 4
    view.max_stage.value = 1
    assert (view.stage.value, view.stage.max) == (2, 2)
    assert (view.state.stage, len(view.state.rows)) == (2, 3)


@pytest.mark.parametrize("method", METHODS)
def test_every_method_can_be_chosen(view, method) -> None:
    view.method.value = method
    rule = METHODS[method]
    assert view.thoughts_per_step.disabled == view.pad_to_max.disabled == (rule.stand_in is None)
    for stage in range(view.stage.max + 1):
        view.stage.value = stage
        root = parsed(view)
        assert (root.get("data-method"), root.get("data-stage")) == (method, str(stage))
        assert ("T" in letters(view)) <= (rule.stand_in == "thoughts")


def test_icot_counts_tokens_and_the_others_find_their_stages_again() -> None:
    view = CurriculumView(PROBLEM.in_english(), SPELLING)
    steps = sum(map(len, tokenize([PROBLEM.in_english()], SPELLING)[0].steps))
    assert view.max_stage.value == 3
    view.max_stage.value = 2
    view.method.value = "icot"
    assert (view.max_stage.value, view.stage.max) == (steps, steps + 1)
    assert view.stage.description == "Tokens removed"
    view.stage.value = 7
    assert letters(view).count("D") == 7
    assert "3 steps" in view.picture.value and "7 tokens removed" in view.picture.value
    view.method.value = "no_thought"
    assert view.max_stage.value == 2
    assert view.stage.value <= 3
    assert view.stage.description == "Stage"


def test_a_tokenizer_is_left_as_it_was() -> None:
    tokenizer = word_tokenizer([*PRESET.entities, *PRESET.concepts])
    before = len(tokenizer)
    CurriculumView(PROBLEM, tokenizer, methods=["pause"])
    assert len(tokenizer) == before
    assert tokenizer.convert_tokens_to_ids("<pause>") in (None, tokenizer.unk_token_id)


def test_any_problem_without_a_graph() -> None:
    """Arithmetic with a tokenizer that spells; blanks and line breaks show as signs."""
    problem = Problem("Two & two < five?", ("<b>2+2</b>=4",), "4")
    view = CurriculumView(problem, SPELLING, ["coconut", "no_thought"])
    assert view.method.options == ("coconut", "no_thought")
    assert view.max_stage.value == 1
    view.stage.value = 0
    assert "<b>2" not in view.picture.value
    assert {"&", "<"} <= {token.text for token in every(view, "token")}
    long = CurriculumView(Problem("x" * 400, (), "y"), SPELLING)
    assert letters(long).startswith("Q" * 91)
    assert 'tabindex="0"' in long.picture.value  # so that a long question scrolls by keyboard


@pytest.mark.parametrize(
    ("options", "error", "why"),
    [
        ({"methods": []}, ValueError, "choose from coconut"),
        ({"methods": ["cocnut"]}, ValueError, "unknown method 'cocnut'"),
        ({"stage": 9}, ValueError, "from 0 to 4"),
        ({"stage": -1}, ValueError, "from 0 to 4"),
        ({"problem": Problem("| Zoe cat", (), "cat")}, ProblemError, "'Zoe'"),
    ],
)
def test_what_cannot_be_shown_says_so(options, error, why) -> None:
    with pytest.raises(error, match=why):
        CurriculumView(**options)


def test_a_state_has_a_stage_that_there_is() -> None:
    with pytest.raises(ValueError, match="from 0 to 4"):
        read_curriculum(PROBLEM, TOKENIZER, Curriculum(max_stage=3), 5)
    assert read_curriculum(PROBLEM, TOKENIZER, Curriculum(max_stage=3), 4).row.counts["T"] == 3
