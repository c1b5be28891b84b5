"""The thought stepper in a real browser: in a bare page with Python's answers, in JupyterLab."""

from __future__ import annotations

import pytest
from bare import settle, show
from explorer_models import random_checkpoint

from coconut_lab.explorers import ThoughtStepper

pytestmark = pytest.mark.browser
CHECKPOINT = random_checkpoint()

# --- alone in a page ------------------------------------------------------------------------------


@pytest.fixture
def drawn(draw):
    """A stepper, drawn in a page of a width and a theme; nothing may go wrong in it."""
    stepper = ThoughtStepper(CHECKPOINT, problem=1)
    return draw(stepper), stepper


def agree(page, stepper) -> None:
    """What the page shows is what Python holds, once it has heard of everything."""
    settle(page)
    data = stepper.data
    one = next((o for o in data["reading"]["thoughts"] if o["number"] == stepper.thought), None)
    shown = page.evaluate(
        """() => ({
          nodes: [...document.querySelectorAll('g.node')].map((n) => n.dataset.probability ?? null),
          rings: [...document.querySelectorAll('g.node.frontier')].map((n) => +n.dataset.node),
          away: [...document.querySelectorAll('.facts button')].flatMap((f, n) =>
            f.getAttribute('aria-pressed') === 'false' ? [n] : []),
          pairs: [...document.querySelectorAll('.answers tbody tr')].map((r) =>
            [1, 2].map((n) => r.children[n].textContent.slice(0, 4))),
          title: document.querySelector('h3').textContent,
          slider: Number(document.querySelector('input[type=range]').value),
        })"""
    )
    wanted = [None] * len(data["names"]) if one is None else [f"{p:.6f}" for p in one["nodes"]]
    assert shown["nodes"] == wanted
    hop = one["hop"] if one else 0
    assert shown["rings"] == [n for n, far in enumerate(data["distances"]) if far == hop]
    assert shown["away"] == data["removed"] == stepper.removed
    assert shown["pairs"] == [[f"{p:.2f}" for p in pair] for pair in data["reading"]["answers"]]
    asked, first, second = (data["names"][n] for n in (data["asked"], *data["options"]))
    assert shown["title"] == f"Is {asked} a {first} or a {second}?"
    assert shown["slider"] == stepper.thought


def test_keys_step_and_the_kernel_only_hears_of_it(drawn) -> None:
    page, stepper = drawn
    answered = stepper.answered
    page.locator("input[type=range]").focus()
    for key, thought in (("End", 3), ("ArrowLeft", 2), ("Home", 0), ("ArrowRight", 1)):
        page.keyboard.press(key)
        assert stepper.thought == thought
        agree(page, stepper)
    page.locator(".facts button").first.focus()  # and from everywhere else
    page.keyboard.press("ArrowRight")
    page.get_by_role("button", name="Thought 3", exact=True).click()
    assert stepper.thought == 3
    page.locator(".answers tbody tr").nth(1).click()
    assert stepper.budget == 1
    agree(page, stepper)
    assert stepper.answered == answered
    assert "Thought 3" in page.get_by_role("status").first.inner_text()
    page.evaluate("window.fromPython({ thought: 1 })")
    page.wait_for_selector("[data-thought='1']")


def test_the_keyboard_alone_reaches_and_moves_everything(drawn) -> None:
    page, stepper = drawn
    seen = set()
    for _ in range(40):
        page.keyboard.press("Tab")
        seen.add(
            page.evaluate(
                """() => { const e = document.activeElement;
                  return e.dataset.node ? 'node' : e.dataset.fact ? 'fact'
                    : e.closest('.words tbody') ? 'word' : e.type ?? e.tagName; }"""
            )
        )
    assert {"radio", "number", "select-one", "fact", "range", "node", "word", "button"} <= seen
    page.locator(".facts [tabindex='0']").focus()
    page.keyboard.press("ArrowDown")
    page.keyboard.press("Enter")
    page.wait_for_selector(".facts [aria-pressed='false']")
    assert stepper.removed == [1]
    assert page.evaluate("document.activeElement.dataset.fact") == "1"  # the place is kept
    agree(page, stepper)
    assert page.locator(".changes").inner_text().startswith("Changed: without")
    page.keyboard.press("Escape")
    page.wait_for_selector(".back", state="hidden")
    assert stepper.removed == [] and stepper.data == stepper.original
    other = next(n for n in stepper.data["roots"] if n != stepper.data["asked"])
    page.locator(f"g.node[data-node='{other}']").focus()
    page.keyboard.press(" ")
    page.wait_for_selector(".back", state="visible")
    assert stepper.asked == stepper.data["names"][other]
    agree(page, stepper)


def test_pointing_lights_the_same_thing_everywhere(drawn) -> None:
    page, stepper = drawn
    data = stepper.data
    (parent, child) = data["facts"][0]
    mentions = [n for n, fact in enumerate(data["facts"]) if child in fact]

    def lit():
        return page.evaluate(
            """() => Object.fromEntries(Object.entries({ nodes: 'g.node', rows: '.words tr',
                facts: '.facts button', edges: 'g.edge' }).map(([key, one]) => [key,
                [...document.querySelectorAll(one + '.lit')]
                  .map((e) => +(e.dataset.node ?? e.dataset.fact)).sort((a, b) => a - b)]))"""
        )

    wanted = {"nodes": [child], "rows": [child], "facts": mentions, "edges": mentions}
    for place in (f"g.node[data-node='{child}']", f".words tr[data-node='{child}'] button"):
        page.hover(place)
        assert lit() == wanted
        page.mouse.move(1, 1)
        assert lit() == {key: [] for key in wanted}
        page.locator(place).focus()
        assert lit() == wanted
        assert data["names"][child] in page.locator(".detail").inner_text()
        page.evaluate("document.activeElement.blur()")
    page.hover(".facts button >> nth=0")
    ends = sorted((parent, child))
    assert lit() == {"nodes": ends, "rows": ends, "facts": [0], "edges": [0]}


def test_clicking_a_fact_in_the_graph_takes_it_away(drawn) -> None:
    page, stepper = drawn
    page.locator("g.edge >> nth=0").dispatch_event("click")
    page.wait_for_selector(".facts [aria-pressed='false']")
    assert stepper.removed == [0]
    agree(page, stepper)
    page.get_by_role("button", name="Back to the original").click()
    page.wait_for_selector(".back", state="hidden")
    agree(page, stepper)


def test_problems_models_readings_and_controls_are_chosen(drawn) -> None:
    page, stepper = drawn
    page.get_by_label("number").fill("7")
    page.keyboard.press("Enter")
    page.get_by_text("problem 7 of 100").wait_for()
    page.get_by_label("a new one").check(force=True)
    page.get_by_text("seed 1000").wait_for()
    page.get_by_role("button", name="Another").click()
    page.get_by_text("seed 1001").wait_for()
    assert (stepper.source, stepper.seed) == ("new", 1001)
    page.get_by_label("Model", exact=True).select_option(label="tiny-coconut")
    page.get_by_label("Control", exact=True).select_option(label="another problem")
    page.wait_for_selector(".cell.beside")
    page.get_by_label("Read through", exact=True).select_option(
        label="<eot>, then the next concept"
    )
    page.get_by_role("button", name="Thought 0", exact=True).wait_for()
    assert (stepper.model_name, stepper.control_name, stepper.through) == (
        "tiny-coconut", "another problem", "<eot>"
    )  # fmt: skip
    agree(page, stepper)
    page.get_by_label("thoughts").fill("5")
    page.keyboard.press("Enter")
    page.get_by_role("button", name="Thought 5", exact=True).click()
    page.get_by_text("more than it was trained with").wait_for()
    agree(page, stepper)


HOSTILE = "<img/src=x/onerror=alert(1)>"
NAMES = (HOSTILE, "\u202egnp", "N" * 300, "&lt;", "$x$")


def test_names_are_text_whatever_they_are(drawn) -> None:
    page, stepper = drawn
    a, b, c, d, e = NAMES
    page.get_by_label("my own", exact=True).check(force=True)
    page.get_by_label("My own problem").fill(f"| {a} {b} | {b} {c} | {d} {e} [Q] {c} {e} [R] {a}")
    page.get_by_role("button", name="Ask this").click()
    page.wait_for_function("text => document.querySelector('h3').textContent.includes(text)", arg=a)
    assert stepper.message == "" and stepper.data["names"][stepper.data["asked"]] == a
    assert page.locator("img, script:not([type=module])").count() == 0
    for name in NAMES:
        assert page.locator(".words bdi", has_text=name).count() >= 1
    fits(page)
    page.get_by_label("My own problem").fill("| Tom a | a b | b a | Eva c [Q] b c [R] Tom")
    page.get_by_role("button", name="Ask this").click()
    page.get_by_role("alert").filter(has_text="cycle").wait_for()
    assert stepper.data["names"][stepper.data["asked"]] == a  # the last good one stays


def fits(page) -> None:
    """No part sticks out of the explorer, unless in something that scrolls; no text is small."""
    out = page.evaluate(
        """() => { const root = document.querySelector('.coconut-stepper');
          const box = root.getBoundingClientRect();
          return [...root.querySelectorAll('*')].filter((e) => {
            const r = e.getBoundingClientRect();
            return r.width && !e.closest('.picture, .forced > table, bdi')
              && (r.right > box.right + 1 || r.left < box.left - 1);
          }).map((e) => e.outerHTML.slice(0, 120)); }"""
    )
    assert out == []
    assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")
    small = page.evaluate(
        """() => Math.min(...[...document.querySelectorAll(
            '.coconut-stepper :is(p, span, td, th, button, label, small)')]
            .filter((e) => e.offsetParent).map((e) => parseFloat(getComputedStyle(e).fontSize)))"""
    )
    assert small >= 11


def test_it_fits_and_follows_the_theme(drawn) -> None:
    page, _ = drawn
    fits(page)
    ink, paper = page.evaluate(
        "() => { const s = getComputedStyle(document.querySelector('.coconut-stepper'));"
        " return [s.color, s.backgroundColor]; }"
    )
    bright = [sum(map(int, c[c.index("(") + 1 : -1].split(",")[:3])) for c in (ink, paper)]
    dark = page.evaluate("document.body.dataset.jpThemeLight") == "false"
    assert (bright[0] > bright[1]) == dark
    node = "g.node .body"
    assert page.evaluate(f"getComputedStyle(document.querySelector('{node}')).fill") != "none"


def test_a_problem_of_the_published_size_fits(draw) -> None:
    stepper = ThoughtStepper("paper-frontier", problem=4)
    page = draw(stepper)
    fits(page)
    graph, words = (page.locator(one).bounding_box() for one in (".picture svg", ".words"))
    assert graph["y"] + graph["height"] < words["y"]  # above each other: both have the whole width
    page.locator("input[type=range]").focus()
    page.keyboard.press("End")
    agree(page, stepper)
    fits(page)


def test_without_a_kernel_it_steps_and_says_what_it_cannot(browser) -> None:
    page = browser.new_page()
    page.clock.install()
    show(page, ThoughtStepper(CHECKPOINT), connected=False)
    page.locator("input[type=range]").focus()
    page.keyboard.press("End")
    page.wait_for_selector("[data-thought='3']")
    page.locator(".facts button").first.click()
    page.clock.fast_forward(10_000)
    page.get_by_text("The kernel has not answered").wait_for()
    page.close()


def test_a_graph_too_large_to_draw_is_told_in_words(browser) -> None:
    stepper = ThoughtStepper(CHECKPOINT, problem=2)
    stepper.data = {**stepper.data, "layout": None}
    page = browser.new_page()
    show(page, stepper, connected=False)
    page.get_by_text("names, too many to draw").wait_for()
    assert page.locator(".words tbody tr").count() == len(stepper.data["names"])
    page.close()


# --- in JupyterLab --------------------------------------------------------------------------------

NOTEBOOK, PICTURE = "stepper.ipynb", ".coconut-stepper"
CELLS = (
    "from coconut_lab.explorers import ThoughtStepper",
    "from explorer_models import random_checkpoint",
    "stepper = ThoughtStepper(random_checkpoint())\nstepper",
)


def test_in_a_notebook_the_kernel_answers_and_keys_stay_inside(page) -> None:
    page.locator(f"{PICTURE} input[type=range]").focus()
    page.keyboard.press("End")
    page.wait_for_selector(f"{PICTURE}[data-thought='3']")
    page.locator(f"{PICTURE} .facts button").first.focus()
    for key in ("x", "d", "d", "b", "Escape", "a"):  # cut, delete, and insert a cell, in a notebook
        page.keyboard.press(key)
    page.keyboard.press("Enter")
    page.locator(f"{PICTURE} .facts [aria-pressed='false']").wait_for()
    assert page.locator(".jp-CodeCell").count() == len(CELLS)
    lists = page.locator(f"{PICTURE} select").first
    lists.focus()
    page.keyboard.press("ArrowDown")  # a drop-down list can be worked by keyboard
    page.keyboard.press("x")
    page.wait_for_function("document.querySelector('.coconut-stepper select').selectedIndex > 0")
    assert page.locator(".jp-CodeCell").count() == len(CELLS)
