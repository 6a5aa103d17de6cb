"""A browser for the tests of pages, where one is installed: Chromium, driven over WebDriver's plain HTTP."""

from __future__ import annotations

import base64
import json
import shutil
import socket
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from trials.waiting import PATIENCE_SECONDS, eventually

OPTIONS = ("--headless=new", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", "--disable-dev-shm-usage")
PATIENCE = PATIENCE_SECONDS  # that a script or a page may take on a busy machine


@dataclass(frozen=True)
class Browser:
    """One window; `address` is that of its session."""

    address: str

    def open(self, page: Path) -> None:
        self._ask("url", {"url": page.resolve().as_uri()})

    def go(self, address: str) -> None:
        self._ask("url", {"url": address})

    def narrow(self, width: int) -> None:
        """Show pages as a screen of so many pixels' width would."""
        metrics = {"width": width, "height": 800, "deviceScaleFactor": 1, "mobile": True}
        self._ask("goog/cdp/execute", {"cmd": "Emulation.setDeviceMetricsOverride", "params": metrics})

    def run(self, script: str, *arguments: Any) -> Any:
        """What a script returns; a promise is waited for."""
        return self._ask("execute/sync", {"script": script, "args": list(arguments)})

    def choose(self, selector: str, files: Sequence[Path]) -> None:
        """Choose files in an input, as a person would in the window that it opens."""
        found = self._ask("element", {"using": "css selector", "value": selector})
        (element,) = found.values()
        self._ask(f"element/{element}/value", {"text": "\n".join(str(file.resolve()) for file in files)})

    def press(self, *keys: str, holding: str = "") -> None:
        """Press keys one after another, each with another key held where one is named."""
        done = [{"type": "keyDown", "value": holding}] if holding else []
        for key in keys:
            done += [{"type": "keyDown", "value": key}, {"type": "keyUp", "value": key}]
        done += [{"type": "keyUp", "value": holding}] if holding else []
        self._ask("actions", {"actions": [{"type": "key", "id": "keyboard", "actions": done}]})

    def drag(self, start: tuple[int, int], by: tuple[int, int], *, button: int = 0) -> None:
        """Drag the mouse over the window with a button: 0 is the left one, 2 the right."""
        moves = [
            {"type": "pointerMove", "x": start[0], "y": start[1], "duration": 0},
            {"type": "pointerDown", "button": button},
            {"type": "pointerMove", "x": start[0] + by[0], "y": start[1] + by[1], "duration": 60},
            {"type": "pointerUp", "button": button},
        ]
        mouse = {"type": "pointer", "id": "mouse", "parameters": {"pointerType": "mouse"}, "actions": moves}
        self._ask("actions", {"actions": [mouse]})

    def pinch(self, middle: tuple[int, int], start: int, end: int) -> None:
        """Put two fingers on the window, so many pixels from one another, and spread them."""
        fingers = []
        for name, side in (("left", -1), ("right", 1)):
            moves = [
                {"type": "pointerMove", "x": middle[0] + side * start // 2, "y": middle[1], "duration": 0},
                {"type": "pointerDown", "button": 0},
                {"type": "pointerMove", "x": middle[0] + side * end // 2, "y": middle[1], "duration": 200},
                {"type": "pointerUp", "button": 0},
            ]
            touch = {"pointerType": "touch"}
            fingers.append({"type": "pointer", "id": name, "parameters": touch, "actions": moves})
        self._ask("actions", {"actions": fingers})

    def wait(self, script: str, *arguments: Any, seconds: float = PATIENCE) -> Any:
        """What a script returns as soon as that is true; fails where it does not become so."""
        end = time.monotonic() + seconds
        while not (said := self.run(script, *arguments)):
            if time.monotonic() > end:
                raise TimeoutError(f"not within {seconds:g} seconds: {script}")
            time.sleep(0.05)
        return said

    def colours(self, scheme: str) -> None:
        """Show pages as who prefers 'dark' or 'light' ones sees them."""
        media = {"features": [{"name": "prefers-color-scheme", "value": scheme}]}
        self._ask("goog/cdp/execute", {"cmd": "Emulation.setEmulatedMedia", "params": media})

    def printed(self) -> bytes:
        """The page as a PDF on A4, as the page itself asks to be printed."""
        asked = {"printBackground": True, "preferCSSPageSize": True}
        said = self._ask("goog/cdp/execute", {"cmd": "Page.printToPDF", "params": asked})
        return base64.b64decode(said["data"])

    def picture(self) -> bytes:
        """The whole page as a PNG."""
        self.run("return new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))")
        asked = {"captureBeyondViewport": True}
        said = self._ask("goog/cdp/execute", {"cmd": "Page.captureScreenshot", "params": asked})
        return base64.b64decode(said["data"])

    def complaints(self) -> list[str]:
        """What the browser's console said since this was last asked."""
        return [each["message"] for each in self._ask("se/log", {"type": "browser"})]

    def _ask(self, what: str, asked: dict[str, Any]) -> Any:
        return _post(f"{self.address}/{what}", asked)


@contextmanager
def browser() -> Iterator[Browser]:
    """A browser; the test is skipped where there is none."""
    driver, chromium = shutil.which("chromedriver"), shutil.which("chromium")
    if not driver or not chromium:
        pytest.skip("no chromium and chromedriver: pages are not tried in a browser")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with subprocess.Popen(
        [driver, f"--port={port}"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    ) as run:
        try:
            base = f"http://127.0.0.1:{port}"
            _wait_for(base)
            options = {"binary": chromium, "args": list(OPTIONS)}
            wanted = {
                "goog:chromeOptions": options,
                "goog:loggingPrefs": {"browser": "ALL"},
                "timeouts": {"script": round(1000 * PATIENCE)},
            }
            session = _post(f"{base}/session", {"capabilities": {"alwaysMatch": wanted}})
            address = f"{base}/session/{session['sessionId']}"
            try:
                yield Browser(address)
            finally:
                _request(urllib.request.Request(address, method="DELETE"))
        finally:
            run.terminate()


def _wait_for(base: str) -> None:
    def is_ready() -> bool:
        try:
            return bool(_request(urllib.request.Request(f"{base}/status"))["ready"])
        except OSError:
            return False

    eventually(is_ready)


def _post(address: str, asked: dict[str, Any]) -> Any:
    body = json.dumps(asked).encode()
    return _request(
        urllib.request.Request(
            address, data=body, headers={"Content-Type": "application/json"}, method="POST"
        )
    )


def _request(request: urllib.request.Request) -> Any:
    try:
        with urllib.request.urlopen(request, timeout=PATIENCE + 10) as answer:
            return json.load(answer)["value"]
    except urllib.error.HTTPError as error:
        raise RuntimeError(json.load(error)["value"]["message"]) from None
