"""Curriculum view and halt explorer in a real browser: keys, pointer, and what they show."""

from __future__ import annotations

import random
import re

import pytest
from bare import settle, show
from explorer_models import spelling_checkpoint, study_of
from looking import TWO_FRAMES

from coconut_lab.curriculum.tokenizer import thought_tokens
from coconut_lab.explorers import CurriculumView, HaltExplorer
from coconut_lab.figures import KINDS
from coconut_lab.tasks.problems import Problem

pytestmark = pytest.mark.browser

EVIL = "<img src=x onerror=alert(1)>"
CELLS = """() => [...document.querySelectorAll('.encoding .cell[data-position]')]
  .map((cell) => [Number(cell.dataset.position), Number(cell.dataset.label)])"""


def letters(page, part="encoding .cell:not(.off)") -> str:
    found = f"() => [...document.querySelectorAll('.{part}')].map((c) => c.dataset.letter).join('')"
    return page.evaluate(found).replace("Q", "")


def press(page, slider: str, *keys: str) -> None:
    page.get_by_role("slider", name=slider, exact=True).focus()
    for key in keys:
        page.keyboard.press(key)
        settle(page)


def test_every_token_has_its_cell_at_any_setting(draw) -> None:
    """What the page shows of random settings, against `encode` and `prompt`."""
    view, dice = CurriculumView(), random.Random(0)
    page, tokens = draw(view), thought_tokens(view.tokenizer)
    names = {tokens.thought: "T", tokens.bot: "B", tokens.eot: "E"}
    for _ in range(40):
        view.method = dice.choice(list(view.data["methods"]))
        view.max_stage, view.max_tokens = dice.randint(0, 6), dice.randint(0, 6)
        view.thoughts_per_step, view.pad_to_max = dice.randint(1, 3), dice.random() < 0.5
        view.stage = dice.randint(0, view.curriculum.max_stage + 1)
        settle(page)
        ids, labels = view.curriculum.encode(view.problem, view.tokenizer, view.stage)
        assert page.evaluate(CELLS) == [list(one) for one in enumerate(labels)]
        prompt = view.curriculum.prompt(view.problem, view.tokenizer, view.stage)
        latent = prompt[len(view.data["question"]) :]
        assert letters(page, "prompt i") == "".join(names.get(token, "P") for token in latent)
        facts = {name: int(page.locator(f"[data-fact='{name}']").inner_text())
                 for name in ("supervised", "fed back", "passes")}  # fmt: skip
        thoughts = ids.count(tokens.thought)
        assert facts == {"supervised": sum(label != -100 for label in labels),
                         "fed back": thoughts, "passes": thoughts + 1}  # fmt: skip
        current = page.locator(".all [aria-current='true']")
        assert current.get_attribute("data-stage") == str(view.stage)


def test_the_curriculum_by_keyboard_alone(draw) -> None:
    view = CurriculumView()
    page = draw(view)
    press(page, "Stage", "Home")
    assert letters(page) == "BESSSAAA"
    press(page, "Stage", "ArrowRight", "ArrowRight")
    assert (view.stage, letters(page)) == (2, "BTTEDDSAAA")
    said = page.get_by_role("status")
    assert "Stage 2 replaces the first 2 steps" in said.inner_text()
    assert "4 tokens" in said.inner_text()
    press(page, "Thoughts per step, c", "End")
    assert letters(page).count("T") == 6
    page.locator(".all [data-stage='2']").focus()
    for key in ("ArrowDown", "Enter", "ArrowRight"):  # another row, chosen; a step from anywhere
        page.keyboard.press(key)
        settle(page)
    assert view.stage == 4
    page.get_by_role("combobox", name="Method").focus()
    page.keyboard.type("ic")
    settle(page)
    assert (view.method, page.get_by_role("slider", name="Tokens removed").count()) == ("icot", 1)
    assert page.get_by_role("slider", name="Thoughts per step, c").is_disabled()


def test_a_stage_is_clicked_and_a_token_lights_the_one_before(draw) -> None:
    view = CurriculumView()
    page = draw(view)
    page.locator("[data-stage='3']").click()
    settle(page)
    assert view.stage == 3
    thought = page.locator(".cell[data-letter=T]").nth(1)
    thought.hover()
    at = int(thought.get_attribute("data-position"))
    assert page.locator(".cell.from").get_attribute("data-position") == str(at - 1)
    assert f"hidden state of position {at - 1}" in page.locator(".detail").inner_text()
    thought.focus()
    page.keyboard.press("ArrowDown")
    assert page.locator(".cell.lit").get_attribute("data-position") == str(at + 1)


def test_pictures_and_explorer_have_one_colour_code(draw) -> None:
    page = draw(CurriculumView())
    if page.viewport_size["width"] < 1000:
        return  # dark
    for letter, colour in KINDS.values():
        if letter == "·":
            continue
        found = page.locator(f".encoding [data-letter='{letter}']").first
        shown = found.evaluate("(cell) => getComputedStyle(cell).backgroundColor")
        parts = [float(part) * 255 for part in re.findall(r"[\d.]+", shown)[:3]]
        wanted = [int(colour[i : i + 2], 16) for i in (1, 3, 5)]
        assert parts == pytest.approx(wanted, abs=1), letter


def test_a_problem_of_any_length_and_any_text(draw) -> None:
    tokenizer = spelling_checkpoint().tokenizer
    problem = Problem(f"{EVIL} \u202e" + "x" * 1500, tuple("z" * 150 for _ in range(3)), EVIL)
    page = draw(CurriculumView(problem, tokenizer, ["icot", "coconut"]))
    assert page.locator("section img").count() == 0
    row = page.locator("[data-stage='1']")
    assert "S×" in row.inner_text() and row.locator("i").count() < 9
    assert "1 token removed" in page.locator("h3").inner_text()


def test_thresholds_by_keyboard_move_the_stops(draw) -> None:
    study = study_of(1, 200)
    view = HaltExplorer(study, {"steps": 0.5}, rule="steps")
    page = draw(view)
    assert "0.5 or more" in page.locator("h3").inner_text()
    page.get_by_role("combobox", name="Rule").focus()
    page.keyboard.type("confident: e")
    press(page, "Threshold", "Home", "ArrowRight", "ArrowRight")
    assert (view.rule, view.threshold) == ("entropy", 2)
    rule = next(one for one in view.data["rules"] if one["name"] == "entropy")
    for key in ("ArrowRight", "End"):
        page.keyboard.press(key)
        settle(page)
        setting = rule["settings"][view.threshold]
        for at, problem in enumerate(page.locator(".problem").all()):
            k = setting["stops"][at]
            assert problem.get_attribute("data-stop") == str(k)
            cell = problem.locator("i").nth(k).bounding_box()
            disc = problem.locator(".disc").bounding_box()
            assert 0 < disc["x"] + disc["width"] / 2 - cell["x"] < cell["width"]
            assert view.data["verdicts"][setting["came"][at]][0] in problem.inner_text()
        rows = [row.locator("td").all_inner_texts() for row in page.locator("tbody tr").all()]
        shown = [[int(cell) for cell in row[2:]] for row in rows]
        assert shown == [group[2:] for group in setting["groups"]]
        assert setting["words"] in page.get_by_role("status").inner_text()


def test_the_curve_is_to_scale_and_answers_the_pointer(draw) -> None:
    view = HaltExplorer(study_of(1, 200), rule="steps")
    page = draw(view)
    view.rule = "fixed"
    settle(page)
    place = "() => ['cx', 'cy'].map((a) => Number(document.querySelector('.current')"
    place += ".getAttribute(a)))"
    box, spots = page.locator(".curve").bounding_box(), []
    for k in range(5):
        view.threshold = k
        settle(page)
        spots.append(page.evaluate(place))
    shares = [one["accuracy"][0] for one in view.data["rules"][0]["settings"]]
    for (x, y), share, k in zip(spots, shares, range(5), strict=True):
        assert x == pytest.approx(spots[0][0] + k * (spots[4][0] - spots[0][0]) / 4, abs=0.1)
        slope = (spots[1][1] - spots[0][1]) / (shares[1] - shares[0])
        assert y == pytest.approx(spots[0][1] + (share - shares[0]) * slope, abs=0.2)
    page.mouse.click(box["x"] + spots[1][0] + 5, box["y"] + spots[1][1] + 30)
    settle(page)
    assert view.threshold == 1
    height = "() => document.querySelector('.interval.now').getBBox().height"
    assert page.evaluate(height) > 12  # longer than the dot is wide


def test_a_verdict_lights_its_problems_and_a_problem_says_what_the_rule_saw(draw) -> None:
    view = HaltExplorer(study_of(1, 200), rule="steps")
    page = draw(view)
    page.locator("thead [data-verdict='2']").hover()
    came = next(r for r in view.data["rules"] if r["name"] == "steps")["settings"][view.threshold]
    assert page.locator(".problem.lit").count() == came["came"].count(2) > 0
    page.locator(".problem").nth(3).hover()
    assert page.locator(".problem.lit").count() == 1
    assert "The rule saw" in page.locator(".detail").inner_text()


def test_without_a_kernel_they_step_and_names_are_text(browser) -> None:
    page, errors = browser.new_page(), []
    page.on("pageerror", lambda error: errors.append(str(error)))
    show(page, HaltExplorer(study_of(7, most=20, name=EVIL), rule=EVIL), connected=False)
    assert EVIL in page.locator("h3").inner_text() and page.locator("img").count() == 0
    page.keyboard.press("Tab")
    page.get_by_role("combobox").select_option(label="a fixed number of thoughts")
    press(page, "Threshold", "End")
    assert "20 thoughts" in page.locator("h3").inner_text()
    show(page, CurriculumView(), connected=False)
    page.get_by_role("combobox").select_option(label="pause_as_thought")
    press(page, "max_stage", "Home")
    press(page, "Stage", "End")
    page.evaluate(TWO_FRAMES)
    assert "stage 1" in page.locator("h3").inner_text() and letters(page) == "BEDDDAAA"
    assert errors == []
    page.close()
