"""A real JupyterLab or Voila and a real browser for the widget tests; skipped with a reason where
one is missing.
"""

import contextlib
import os
import pathlib
import runpy
import socket
import subprocess
import sys
import time
import urllib.request

import pytest

from reidkit.teach import lecture

FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
SETTINGS = {
    # a question that lies over the page
    "apputils-extension/notification": '{"fetchNews": "false"}',
    "notebook-extension/tracker": '{"windowingMode": "none"}',
}  # else cells out of sight leave the page
KEYS = {
    ".noUi-handle": ("ArrowRight", "ArrowLeft", "End", "Home"),
    "input[type=checkbox]": ("Space", "Space"),
}
ROOT = pathlib.Path(__file__).resolve().parents[1]
CHROMIUM = runpy.run_path(str(ROOT / "course.py"))[
    "find_browser"
]()  # the one that course.py looks for, too


def need_browser():
    """Skip with the reason, or fail with it where REQUIRE_BROWSER=1."""
    reason = "" if CHROMIUM else "no Chromium or Chrome on the path (or set REIDKIT_CHROMIUM)"
    try:
        import playwright  # noqa: F401
    except ImportError:
        reason = "playwright is not installed: pip install -e .[browser]"
    if reason and os.environ.get("REQUIRE_BROWSER") == "1":
        pytest.fail(reason)
    if reason:
        pytest.skip(reason)


@contextlib.contextmanager
def served(folder, *words, port_word, ready):
    """A server of this Python on a free port, its settings inside `folder`; yields the address and
    ends the server.
    """
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    address = f"http://127.0.0.1:{port}"
    own = (
        "JUPYTER_CONFIG_DIR",
        "JUPYTER_DATA_DIR",
        "JUPYTERLAB_SETTINGS_DIR",
        "JUPYTERLAB_WORKSPACES_DIR",
        "REIDKIT_WORK_DIR",
    )
    places = {name: str(folder / f".{name}") for name in own}
    found = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")]))
    environment = (
        os.environ
        | places
        | {
            "PYTHONPATH": found,
            "JUPYTER_PREFER_ENV_PATH": "1",
            "OMP_NUM_THREADS": "1",
            "REIDKIT_PROGRESS": "on",
        }
    )
    for name, setting in SETTINGS.items():
        path = folder / ".JUPYTERLAB_SETTINGS_DIR" / "@jupyterlab" / f"{name}.jupyterlab-settings"
        path.parent.mkdir(parents=True)
        path.write_text(setting)
    with open(folder / "server.log", "w") as log:
        command = [sys.executable, "-m", *words, f"{port_word}={port}"]
        server = subprocess.Popen(command, stdout=log, stderr=log, env=environment)
        try:
            until = time.monotonic() + 90
            while True:
                try:
                    urllib.request.urlopen(address + ready, timeout=5)
                    break
                except OSError:
                    if server.poll() is not None or time.monotonic() > until:
                        pytest.fail(
                            "the server did not come up: "
                            f"{(folder / 'server.log').read_text()[-1500:]}"
                        )
                    time.sleep(0.25)
            yield address
        finally:
            server.terminate()
            try:
                server.wait(15)
            except subprocess.TimeoutExpired:
                server.kill()


def lab(folder):
    return served(
        folder,
        "jupyterlab",
        "--no-browser",
        "--allow-root",
        "--ip=127.0.0.1",
        "--IdentityProvider.token=t",
        "--ServerApp.port_retries=0",
        "--LabApp.news_url=",
        f"--ServerApp.root_dir={folder}",
        "--LabApp.check_for_updates_class=jupyterlab.handlers.announcements.NeverCheckForUpdate",
        port_word="--ServerApp.port",
        ready="/api/status?token=t",
    )


def voila(notebook):
    """As `lecture.command` starts it, with a token that the test knows."""
    _, _, *words = lecture.command(notebook, "voila")
    return served(
        notebook.parent,
        *[word for word in words if word != "--token"],
        "--Voila.token=t",
        "--no-browser",
        port_word="--port",
        ready="/voila/static/voila.js",
    )


@contextlib.contextmanager
def page():
    from playwright.sync_api import sync_playwright

    with sync_playwright() as play:
        browser = play.chromium.launch(executable_path=CHROMIUM, headless=True, args=FLAGS)
        try:
            yield browser.new_page(viewport={"width": 1280, "height": 1000})
        finally:
            browser.close()


def run_all(page, address, name, timeout=180):
    """Open a notebook in JupyterLab and run it to its end."""
    page.goto(f"{address}/lab/tree/{name}?token=t&reset", timeout=90_000)
    page.wait_for_selector(".jp-Notebook .jp-Cell", timeout=90_000)
    idle = r"() => /\|\s*Idle/.test(document.querySelector('#jp-main-statusbar')?.innerText || '')"
    prompt = "'.jp-CodeCell .jp-InputPrompt'"
    started = rf"() => /\[[\d*]+\]/.test(document.querySelector({prompt})?.innerText || '')"
    page.wait_for_function(
        idle, timeout=60_000
    )  # while the session is connecting, Lab drops "Run All" silently
    for _ in range(5):
        page.get_by_role("menuitem", name="Run", exact=True).click()
        page.get_by_role("menuitem", name="Run All Cells", exact=True).click()
        with contextlib.suppress(Exception):
            page.wait_for_function(started, timeout=4_000)
            break
    else:
        pytest.fail("Run All never started a cell")
    prompts = f"[...document.querySelectorAll({prompt})]"
    over = f"() => !{prompts}.some(p => p.innerText.includes('*'))"
    page.wait_for_function(over, timeout=timeout * 1000)
    broken = page.locator('[data-mime-type="application/vnd.jupyter.stderr"]')
    broken = broken.filter(has_text="Traceback (most recent call last)")
    if broken.count():
        pytest.fail(f"{name}: a cell failed: {broken.first.inner_text()[-600:]}")


def move_every_control(page, least=1):
    """Move each control of each widget by the keyboard -> their number; picture and readout must
    change each time.
    """
    page.locator(".reidkit-explore").first.wait_for(timeout=120_000)
    moved = 0
    for box in page.locator(".reidkit-explore").all():
        box.scroll_into_view_if_needed()
        for selector, keys in KEYS.items():
            for control in box.locator(selector).all():
                seen = _changes(page, box, control, keys)
                assert seen is None, (
                    f"{keys} on {selector} number {moved + 1} left (picture, readout) at {seen}"
                )
                moved += 1
    assert moved >= least, f"{moved} controls were found, at least {least} expected"
    return moved


def _changes(page, box, control, keys, seconds=20):
    """None where a key changed both picture and readout, else what was there before and after the
    last key.
    """
    for key in keys:  # at its end a control moves one way only; one notch may show nothing
        before = look(box)
        control.focus()
        page.keyboard.press(key)
        until = time.monotonic() + seconds / len(keys)
        while time.monotonic() < until:
            now = look(box)
            if now[0] != before[0] and now[1] != before[1]:
                return None
            page.wait_for_timeout(50)
    return before, now


def look(box):
    """(address of the picture, text of the readout) of one widget."""
    return box.locator("img").first.get_attribute("src"), box.locator("[role=status]").inner_text()
