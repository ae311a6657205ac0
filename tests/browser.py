"""Opens pages in a headless Chromium and looks at them, over the pipe that the browser offers for that."""

from __future__ import annotations

import base64
import json
import os
import shutil
import struct
import subprocess
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

BINARIES = ("chromium", "chromium-browser", "google-chrome")
_PATIENCE = 120


def binary() -> str | None:
    """The browser of this machine, if it has one."""
    return next((found for name in BINARIES if (found := shutil.which(name)) is not None), None)


class Box(NamedTuple):
    """Where something is on the page, in pixels."""

    x: float
    y: float
    width: float
    height: float


class Tab:
    """One page in the browser. `complaints` holds what its console was told of errors and warnings."""

    def __init__(self, browser: Browser, session: str) -> None:
        self._browser, self._session = browser, session
        self.complaints: list[str] = []
        for domain in ("Page", "Runtime", "Log", "Network"):
            self.call(f"{domain}.enable")

    def call(self, method: str, **parameters: Any) -> dict[str, Any]:
        return self._browser.call(method, self._session, **parameters)

    def close(self) -> None:
        self.call("Page.close")

    def visit(self, address: str, *, width: int = 1280, height: int = 900, dark: bool = False) -> None:
        """Load a page, at a size and in a colour scheme, and everything that it says it needs."""
        self.call(
            "Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=width < 600
        )
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self.call("Emulation.setEmulatedMedia", media="", features=[scheme])
        self.call("Page.navigate", url=address)
        self.until("document.readyState === 'complete'")

    def open(self, page: Path, *, width: int = 1280, height: int = 900, dark: bool = False) -> None:
        """Visit a report and wait until it says that its charts are drawn."""
        self.visit(page.resolve().as_uri(), width=width, height=height, dark=dark)
        self.until("document.documentElement.dataset.drawn !== undefined")

    def until(self, condition: str) -> None:
        """Wait until a JavaScript expression is true."""
        self.value(
            f"new Promise(done => {{ const look = () => {condition} ? done() : setTimeout(look, 20); look(); }})"
        )

    def value(self, expression: str) -> Any:
        """What a JavaScript expression comes to; a promise is waited for."""
        answer = self.call("Runtime.evaluate", expression=expression, awaitPromise=True, returnByValue=True)
        if "exceptionDetails" in answer:
            raise AssertionError(f"{expression}: {answer['exceptionDetails']}")
        return answer["result"].get("value")

    def picture(self, box: Box, *, scale: float = 1.0) -> bytes:
        """A PNG of part of the page."""
        clip = {**box._asdict(), "scale": scale}
        answer = self.call("Page.captureScreenshot", format="png", clip=clip, captureBeyondViewport=True)
        return base64.b64decode(answer["data"])

    def printed(self) -> bytes:
        """The page as a PDF on A4."""
        return base64.b64decode(self.call("Page.printToPDF", preferCSSPageSize=True, printBackground=True)["data"])


class Browser:
    """A running browser that is spoken to in JSON, each message ended by a zero byte."""

    def __init__(self, process: subprocess.Popen[bytes], read: int, write: int) -> None:
        self._process, self._read, self._write = process, read, write
        self._number = 0
        self._buffer = b""
        self._tabs: dict[str, Tab] = {}

    def tab(self) -> Tab:
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        session = self.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        tab = Tab(self, session)
        self._tabs[session] = tab
        return tab

    def call(self, method: str, session: str | None = None, **parameters: Any) -> dict[str, Any]:
        self._number += 1
        message: dict[str, Any] = {"id": self._number, "method": method, "params": parameters}
        if session is not None:
            message["sessionId"] = session
        os.write(self._write, json.dumps(message).encode() + b"\0")
        while True:
            heard = self._hear()
            if heard.get("id") == self._number:
                if "error" in heard:
                    raise AssertionError(f"{method}: {heard['error']}")
                result: dict[str, Any] = heard["result"]
                return result
            self._note(heard)

    def _hear(self) -> dict[str, Any]:
        while b"\0" not in self._buffer:
            part = os.read(self._read, 1 << 20)
            if not part:
                raise AssertionError(f"the browser ended with {self._process.wait(_PATIENCE)}")
            self._buffer += part
        line, self._buffer = self._buffer.split(b"\0", 1)
        heard: dict[str, Any] = json.loads(line)
        return heard

    def _note(self, heard: dict[str, Any]) -> None:
        tab, what = self._tabs.get(heard.get("sessionId", "")), heard.get("params", {})
        if tab is None:
            return
        if heard["method"] == "Runtime.exceptionThrown":
            details = what["exceptionDetails"]
            tab.complaints.append(details.get("exception", {}).get("description", details["text"]))
        elif heard["method"] == "Runtime.consoleAPICalled" and what["type"] in ("error", "warning", "assert"):
            tab.complaints.append(" ".join(str(part.get("value", part)) for part in what["args"]))
        elif heard["method"] == "Log.entryAdded" and what["entry"]["level"] in ("error", "warning"):
            tab.complaints.append(what["entry"]["text"])
        elif heard["method"] == "Network.requestWillBeSent" and not what["request"]["url"].startswith(
            ("file:", "data:")
        ):
            tab.complaints.append(f"asked for {what['request']['url'][:200]}")


@contextmanager
def browser(profile: Path) -> Iterator[Browser]:
    """A headless browser with a fresh profile in the folder `profile`."""
    found = binary()
    assert found is not None
    to_read, to_write, from_read, from_write = *os.pipe(), *os.pipe()
    command = [
        found,
        "--headless=new",
        "--no-sandbox",
        "--disable-gpu",
        "--disable-dev-shm-usage",
        "--hide-scrollbars",
        "--no-first-run",
        "--disable-background-networking",
        "--remote-debugging-pipe",
        f"--user-data-dir={profile}",
    ]
    # The browser reads what it is told from descriptor 3 and answers on 4.
    line = 'exec "$@" 3<&"$IN" 4>&"$OUT"'
    process = subprocess.Popen(
        ["bash", "-c", line, "browser", *command],
        pass_fds=(to_read, from_write),
        env={**os.environ, "IN": str(to_read), "OUT": str(from_write)},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    os.close(to_read)
    os.close(from_write)
    try:
        yield Browser(process, from_read, to_write)
    finally:
        os.close(to_write)
        os.close(from_read)
        process.terminate()
        process.wait(_PATIENCE)


def colours(png: bytes) -> int:
    """How many different pixels a PNG of 8 bits a channel has."""
    width, height, _, kind = struct.unpack(">IIBB", png[16:26])
    channels = {2: 3, 6: 4}[kind]
    raw, rows, stride = zlib.decompress(_pixels(png)), [bytes(width * channels)], width * channels
    for number in range(height):
        begin = number * (stride + 1)
        rows.append(_unfiltered(raw[begin], raw[begin + 1 : begin + 1 + stride], rows[-1], channels))
    return len({row[at : at + channels] for row in rows[1:] for at in range(0, stride, channels)})


def _pixels(png: bytes) -> bytes:
    at, found = 8, b""
    while at < len(png):
        (length,) = struct.unpack(">I", png[at : at + 4])
        if png[at + 4 : at + 8] == b"IDAT":
            found += png[at + 8 : at + 8 + length]
        at += length + 12
    return found


def _unfiltered(kind: int, line: bytes, above: bytes, step: int) -> bytes:
    """A row of pixels as it was before the filter of PNG (W3C PNG specification, section 9)."""
    row = bytearray(line)
    for at in range(len(row)):
        left = row[at - step] if at >= step else 0
        corner = above[at - step] if at >= step else 0
        guesses = (0, left, above[at], (left + above[at]) // 2, _paeth(left, above[at], corner))
        row[at] = (row[at] + guesses[kind]) & 0xFF
    return bytes(row)


def _paeth(left: int, up: int, corner: int) -> int:
    guess = left + up - corner
    return min((left, up, corner), key=lambda value: abs(guess - value))
