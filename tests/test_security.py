"""What SECURITY.md promises and no other test holds: nothing is sent anywhere, nothing is fetched,
and the list of promises names tests that exist.
"""

import ast
import json
import os
import pathlib
import re
import subprocess
import sys

import pytest

import course

ROOT = pathlib.Path(__file__).resolve().parents[1]

# Modules that open connections to elsewhere.
NETWORK = {
    "socket",
    "ssl",
    "http",
    "urllib",
    "ftplib",
    "smtplib",
    "requests",
    "httpx",
    "aiohttp",
    "websocket",
    "xmlrpc",
    "telnetlib",
}
FETCHES = re.compile(r"\b(urlopen|urlretrieve|load_state_dict_from_url|torch\.hub|wget|curl)\b")


def imported(path):
    """Names of the packages that a file imports, lazily or not."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name.partition(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and not node.level:
            yield (node.module or "").partition(".")[0]


@pytest.mark.parametrize("folder", ["reidkit", "notebooks/source", "benchmarks"])
def test_no_code_imports_what_opens_connections(folder):
    paths = sorted((ROOT / folder).rglob("*.py"))
    assert paths
    for path in paths:
        assert not NETWORK & set(imported(path)), path
        assert not FETCHES.search(path.read_text(encoding="utf-8")), path


ALONE = """
import socket

def refuse(*args, **more):
    raise AssertionError("a connection was asked for")

for name in ("connect", "connect_ex", "sendto", "bind", "listen"):
    setattr(socket.socket, name, refuse)
for name in ("create_connection", "getaddrinfo", "gethostbyname"):
    setattr(socket, name, refuse)

import sys
sys.path.insert(0, "tests")
import training_case
from reidkit import retrieval, world
from reidkit.retrieval.model_file import load_drawn_laptop

exam = world.make_exam([("demo", 0)], 3, 2, 2, (64, 32))
training_case.train(steps=2, keep="alone")
print(retrieval.evaluate_exam(load_drawn_laptop().model, exam).queries)
"""


@pytest.mark.slow
def test_drawing_training_and_searching_open_no_connection(tmp_path):
    done = subprocess.run(
        [sys.executable, "-c", ALONE],
        cwd=ROOT,
        env={**os.environ, "REIDKIT_CACHE_DIR": str(tmp_path)},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0 and done.stdout.strip() == "6", done.stderr


def test_lab_listens_here_with_a_token_and_fetches_no_news(monkeypatch, tmp_path):
    calls = []
    monkeypatch.setattr(course, "_call", lambda command, *more: calls.append(command) or 0)
    monkeypatch.setattr(
        course.subprocess, "run", lambda *words, **more: subprocess.CompletedProcess([], 0)
    )
    monkeypatch.setattr(course, "setup", lambda words=(): None)
    settings = tmp_path / "labconfig" / "default_setting_overrides.json"
    monkeypatch.setattr(course, "LAB_SETTINGS", settings)
    course.lab([])
    words = " ".join(calls[-1])
    assert "jupyterlab" in words
    # Jupyter's own defaults are this machine alone and a token: nothing here changes them.
    assert "token" not in words and "password" not in words and "ip=" not in words
    (quiet,) = json.loads(settings.read_text()).values()
    assert quiet == {"fetchNews": "false", "checkForUpdates": False}


def test_every_promise_names_a_test_that_exists():
    text = (ROOT / "SECURITY.md").read_text(encoding="utf-8")
    named = re.findall(r"`(tests/[\w/]+\.py)::(\w+)`", text)
    assert len(named) >= 8
    for path, name in named:
        assert re.search(
            rf"^def {name}\(", (ROOT / path).read_text(encoding="utf-8"), re.MULTILINE
        ), (
            path,
            name,
        )
