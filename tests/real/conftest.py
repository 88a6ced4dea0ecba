"""What several tests with a real program share."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from typing import Any

import pytest

from tests.view.app import app as app
from tests.view.app import folder as folder

BROWSER = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    if BROWSER is None:
        pytest.skip("no Chromium on this machine; install Debian's chromium")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as started:
        # A container's root has no sandbox of its own to give; the pages are ours.
        options = ["--no-sandbox", "--disable-gpu", "--disable-background-networking"]
        running = started.chromium.launch(executable_path=BROWSER, args=options)
        yield running
        running.close()
