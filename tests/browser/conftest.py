"""A real JupyterLab on this machine, and a real Chromium that looks at it."""

import json
import os
import re
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import nbformat
import pytest
from bare import show
from looking import PATIENCE

ROOT = Path(__file__).resolve().parents[2]
REQUIRED = os.environ.get("COCONUT_LAB_REQUIRE_BROWSER") == "1"
# Quiet: nothing of the browser's own goes to the network, and no sandbox is needed as root.
FLAGS = (
    "--no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking "
    "--disable-component-update --disable-sync"
).split()
ANNOUNCEMENTS = "@jupyterlab/apputils-extension:announcements"


class Lab(NamedTuple):
    """A running JupyterLab."""

    address: str  # where it listens, with its port
    token: str  # what it asks for
    folder: Path  # what it serves

    def open(self, page: Any, name: str) -> None:
        """Open a notebook of the folder in a page; nobody has trusted it."""
        page.goto(f"{self.address}/lab/tree/{name}?token={self.token}&reset")
        page.wait_for_selector(".jp-Notebook")

    def run(self, page: Any, name: str, *cells: str) -> None:
        """Write a notebook of code cells, open it in a page, and run it as a user would."""
        notebook = nbformat.v4.new_notebook(
            cells=[nbformat.v4.new_code_cell(cell) for cell in cells],
            metadata={"kernelspec": {"name": "python3", "display_name": "Python 3"}},
        )
        nbformat.write(notebook, self.folder / name)
        self.open(page, name)
        page.get_by_text(re.compile(r"\| Idle")).wait_for()
        page.get_by_role("menuitem", name="Run", exact=True).click()
        page.get_by_text("Run All Cells", exact=True).click()


@pytest.fixture(scope="session")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    """JupyterLab with a token, on 127.0.0.1 and a free port, apart from the user's settings."""
    home = tmp_path_factory.mktemp("lab")
    folder = home / "notebooks"
    folder.mkdir()
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    token = secrets.token_hex(16)
    # JupyterLab asks in a corner whether it may fetch news; nobody is there to answer.
    settings = home / "config" / "labconfig" / "page_config.json"
    settings.parent.mkdir(parents=True)
    settings.write_text(json.dumps({"disabledExtensions": {ANNOUNCEMENTS: True}}))
    # What the package sets for all of an environment (shared-data in pyproject.toml).
    ours = json.loads((ROOT / "coconut_lab/explorers/browser/jupyterlab.json").read_text())
    for name, values in ours.items():
        own = home / "settings" / f"{name.replace(':', '/')}.jupyterlab-settings"
        own.parent.mkdir(parents=True)
        own.write_text(json.dumps(values))
    paths = os.pathsep.join(map(str, (ROOT, ROOT / "tests")))
    environment = {k: v for k, v in os.environ.items() if not k.startswith(("JUPYTER", "IPYTHON"))}
    environment |= {
        "JUPYTER_CONFIG_DIR": str(home / "config"),
        "JUPYTER_DATA_DIR": str(home / "data"),
        "JUPYTER_RUNTIME_DIR": str(home / "runtime"),
        "JUPYTERLAB_SETTINGS_DIR": str(home / "settings"),
        "JUPYTERLAB_WORKSPACES_DIR": str(home / "workspaces"),
        "IPYTHONDIR": str(home / "ipython"),
        "JUPYTER_TOKEN": token,
        "PYTHONPATH": paths,
    }
    command = [
        sys.executable, "-m", "jupyterlab", "--no-browser", "--allow-root",
        "--ServerApp.ip=127.0.0.1", f"--ServerApp.port={port}", "--ServerApp.port_retries=0",
        f"--ServerApp.root_dir={folder}", "--LabApp.news_url=None",
        "--LabApp.extension_manager=readonly",
        "--LabApp.check_for_updates_class=jupyterlab.handlers.announcements.NeverCheckForUpdate",
    ]  # fmt: skip
    log = home / "server.log"
    with log.open("wb") as output:
        server = subprocess.Popen(
            command, cwd=folder, env=environment, stdout=output, stderr=subprocess.STDOUT,
            start_new_session=True,
        )  # fmt: skip
    address = f"http://127.0.0.1:{port}"
    try:
        _wait_for(f"{address}/api/status?token={token}", server, log)
        yield Lab(address, token, folder)
    finally:
        server.send_signal(signal.SIGTERM)  # it ends its kernels, then itself
        try:
            server.wait(timeout=60)
        except subprocess.TimeoutExpired:
            os.killpg(server.pid, signal.SIGKILL)
            server.wait()


def _wait_for(address: str, server: subprocess.Popen[bytes], log: Path) -> None:
    while server.poll() is None:
        try:
            with urllib.request.urlopen(address, timeout=5):
                return
        except OSError:
            time.sleep(0.2)
    raise RuntimeError(f"JupyterLab ended:\n{log.read_text(errors='replace')[-3000:]}")


@pytest.fixture(scope="session")
def browser():
    """Chromium; without one the tests are skipped, or fail where a browser is required."""
    names = ("chromium", "chromium-browser", "google-chrome", "chrome")
    given = os.environ.get("COCONUT_LAB_CHROMIUM")
    path = given or next(filter(None, map(shutil.which, names)), None)
    if path is None:
        message = "no Chromium found; install it, or set COCONUT_LAB_CHROMIUM to its path"
        if REQUIRED:
            pytest.fail(message)
        pytest.skip(message)
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=path, args=FLAGS)
        yield chromium
        chromium.close()


@pytest.fixture(scope="module")
def open_page(browser):
    """A page for the tests of a module, and its faults: errors, and leaving this machine."""
    context = browser.new_context(viewport={"width": 1280, "height": 1000})
    context.set_default_timeout(PATIENCE)
    page = context.new_page()
    faults = []

    def goes_to(request):
        if not request.url.startswith(("http://127.0.0.1:", "data:", "blob:")):
            faults.append(f"asked for {request.url}")

    page.on("pageerror", lambda error: faults.append(str(error)))
    page.on("console", lambda m: faults.append(m.text) if m.type == "error" else None)
    page.on("request", goes_to)
    yield page, faults
    context.close()


@pytest.fixture(scope="module")
def notebook(request, open_page, lab):
    """The module's CELLS, run from top to bottom as its NOTEBOOK, with its PICTURE in view."""
    page, faults = open_page
    lab.run(page, request.module.NOTEBOOK, *request.module.CELLS)
    page.wait_for_selector(request.module.PICTURE)
    return page, faults


@pytest.fixture
def page(notebook):
    """The page; whatever a test did in it, there must be no fault."""
    page, faults = notebook
    yield page
    assert faults == []


@pytest.fixture(params=[(1280, True), (800, False)], ids=["wide-light", "narrow-dark"])
def draw(request, browser):
    """A page of a width and a theme, for an explorer; nothing may go wrong in it."""
    width, light = request.param
    context = browser.new_context(
        viewport={"width": width, "height": 1000}, color_scheme="light" if light else "dark",
        reduced_motion="reduce",
    )  # fmt: skip
    context.set_default_timeout(PATIENCE)
    page, errors = context.new_page(), []
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.on("console", lambda message: errors.append(message.text))
    page.on("request", lambda request: errors.append(request.url))

    def drawn(widget):
        show(page, widget, light=light)
        return page

    yield drawn
    assert errors == []
    wide = page.evaluate("() => document.documentElement.scrollWidth > innerWidth")
    assert not wide
    context.close()
