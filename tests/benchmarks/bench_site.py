"""How long the front page of the site takes from a click on a fact to the picture it leads to."""

from __future__ import annotations

import shutil
import statistics
import sys
import tempfile
from pathlib import Path

sys.path.append(str(Path(__file__).parents[2] / "tools"))
from make_site import make
from playwright.sync_api import sync_playwright

CLICKS = 100
# A picture is there when the frame that follows the click has been drawn. Every eighth click is on
# another problem, and the first few, with code that is not compiled yet, do not count.
MEASURE = """
async (clicks) => {
  const drawn = () => new Promise((done) => requestAnimationFrame(() => setTimeout(done)));
  const times = [];
  for (let n = -8; n < clicks; n++) {
    if (n % 8 === 0) {
      explorers[0].set("index", (n + 8) / 8);
      explorers[0].save_changes();
      await drawn();
    }
    const facts = document.querySelectorAll(".facts [data-fact]"), start = performance.now();
    facts[(n + 8) % facts.length].click();
    const thought = performance.now() - start;
    await drawn();
    if (n >= 0) times.push([thought, performance.now() - start]);
  }
  return times;
}
"""


def main() -> None:
    """Print median and 95th percentile, of the model alone and up to the picture."""
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        make(Path(folder) / "site", [])
        path = shutil.which("chromium") or shutil.which("google-chrome")
        browser = playwright.chromium.launch(executable_path=path, args=["--no-sandbox"])
        page = browser.new_page(viewport={"width": 1280, "height": 1000})
        page.goto((Path(folder) / "site" / "index.html").as_uri())
        times = page.evaluate(MEASURE, CLICKS)
        browser.close()
    for what, column, wanted in (
        ("the model anew", 0, ""),
        ("the picture", 1, "; at most 60 wanted"),
    ):
        cuts = statistics.quantiles([time[column] for time in times], n=20)
        print(
            f"click on a fact to {what}: {cuts[9]:.0f} ms, 95th percentile {cuts[18]:.0f} ms "
            f"({CLICKS} clicks{wanted})"
        )


if __name__ == "__main__":
    main()
