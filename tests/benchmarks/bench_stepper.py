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
  for (const name of ['keydown', 'pointerdown']) document.addEventListener(name, press, true);
  new MutationObserver(() => {
    if (pressed === null) return;
    const start = pressed;
    pressed = null;
    requestAnimationFrame(() => {
      const drawn = new MessageChannel();
      drawn.port1.onmessage = () => window.times.push(performance.now() - start);
      drawn.port2.postMessage(null);
    });
  }).observe(document.querySelector('.views'), { childList: true, subtree: true, attributes: true });
}"""


def report(name: str, times: list[float]) -> None:
    """Print the median and the 95th percentile."""
    p95 = statistics.quantiles(times, n=20)[-1]
    print(f"{name}: median {statistics.median(times):.1f} ms, p95 {p95:.1f} ms of {len(times)}")


def main() -> None:
    """Step 100 times by key, and take a fact away or put it back 60 times."""
    from bare import show
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        path = shutil.which("chromium") or shutil.which("google-chrome")
        browser = playwright.chromium.launch(executable_path=path, args=["--no-sandbox"])
        page = browser.new_page(viewport={"width": 1280, "height": 1000})
        show(page, ThoughtStepper("tiny-coconut"))
        page.evaluate(STOPWATCH)
        for turn in range(100):
            page.keyboard.press("ArrowRight" if turn % 4 < 2 else "ArrowLeft")
            page.wait_for_function(f"window.times.length > {turn}")
        report("key to picture", page.evaluate("window.times.splice(0)"))
        page.evaluate("document.querySelector('.views').scrollIntoView()")
        for turn in range(60):
            page.keyboard.press("Escape") if turn % 2 else page.locator(".facts button").nth(
                turn // 2 % 8
            ).dispatch_event("click")
            page.wait_for_timeout(150)
        browser.close()


if __name__ == "__main__":
    main()
