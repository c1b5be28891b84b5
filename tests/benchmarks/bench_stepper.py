"""How long the thought stepper takes in Chromium: from a key or a click to the new picture."""

from __future__ import annotations

import shutil
import statistics
import sys
from pathlib import Path

from coconut_lab.explorers import ThoughtStepper

sys.path.insert(0, str(Path(__file__).parents[1] / "browser"))

# From the event to the end of the first frame that shows what changed.
STOPWATCH = """() => {
  window.times = [];
  let pressed = null;
  const press = () => { pressed = performance.now(); };
  document.addEventListener('keydown', press, true);
  new MutationObserver(() => {
    if (pressed === null) return;
    const start = pressed;
    pressed = null;
    requestAnimationFrame(() => {
      const drawn = new MessageChannel();
      drawn.port1.onmessage = () => window.times.push(performance.now() - start);
      drawn.port2.postMessage(null);
    });
  }).observe(document.querySelector('.views'),
    { childList: true, subtree: true, attributes: true });
}"""


def report(name: str, times: list[float]) -> None:
    """Print the median and the 95th percentile."""
    p95 = statistics.quantiles(times, n=20)[-1]
    print(f"{name}: median {statistics.median(times):.1f} ms, p95 {p95:.1f} ms of {len(times)}")


def main() -> None:
    """Step 100 times by key, and take 64 facts away."""
    from bare import show
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        path = shutil.which("chromium") or shutil.which("google-chrome")
        browser = playwright.chromium.launch(executable_path=path, args=["--no-sandbox"])
        page = browser.new_page(viewport={"width": 1280, "height": 1000})
        stepper, asked = ThoughtStepper("tiny-coconut"), []
        show(page, stepper)
        page.evaluate(STOPWATCH)
        page.locator("input[type=range]").focus()
        for turn in range(100):
            page.keyboard.press("ArrowRight" if turn % 4 < 2 else "ArrowLeft")
            page.wait_for_function(f"window.times.length > {turn}")
        report("key to picture", page.evaluate("window.times.splice(0)"))
        for index in range(8):
            stepper.index = index
            page.evaluate("window.times = []")
            for fact in range(8):  # each time another question, so nothing is remembered
                page.locator(".facts button").nth(fact).focus()
                page.keyboard.press("Enter")
                page.wait_for_function(f"window.times.length > {fact}")
            asked += page.evaluate("window.times")
        report("fact taken away to picture, the model asked anew", asked)
        browser.close()


if __name__ == "__main__":
    main()
