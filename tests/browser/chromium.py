"""A headless Chromium, spoken to through the pipe of its DevTools protocol: no driver and no port."""

from __future__ import annotations

import base64
import io
import json
import os
import shutil
import signal
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

__all__ = ["Chromium", "Tab", "executable"]

_NAMES = ("chromium", "chromium-browser", "google-chrome", "chrome")
_PATIENCE_SECONDS = 180
_OPTIONS = (
    "--headless",
    "--no-sandbox",  # tests run as root in a container
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-dev-shm-usage",
    "--hide-scrollbars",
    "--use-gl=angle",  # WebGL computed on the CPU
    "--use-angle=swiftshader",
    "--enable-unsafe-swiftshader",
    "--remote-debugging-pipe",
)


def executable() -> str | None:
    """Path of Chromium, None if there is none."""
    return next((path for name in _NAMES if (path := shutil.which(name))), None)


class Chromium:
    """A running browser, which ends with the ``with`` it is in.

    Parameters
    ----------
    profile : Path
        An empty folder for what it keeps.
    """

    def __init__(self, profile: Path) -> None:
        path = executable()
        assert path is not None, "no Chromium"
        ours, theirs = os.pipe(), os.pipe()
        actions = [(os.POSIX_SPAWN_DUP2, os.dup(ours[0]), 3), (os.POSIX_SPAWN_DUP2, os.dup(theirs[1]), 4)]
        quiet = os.open(profile / "log", os.O_WRONLY | os.O_CREAT, 0o600)
        actions += [(os.POSIX_SPAWN_DUP2, quiet, stream) for stream in (1, 2)]
        command = [path, *_OPTIONS, f"--user-data-dir={profile}", "about:blank"]
        self._process = os.posix_spawn(path, command, os.environ, file_actions=actions, setpgroup=0)
        for descriptor in (ours[0], theirs[1], quiet, *(action[1] for action in actions[:2])):
            os.close(descriptor)
        self._to, self._from = ours[1], theirs[0]
        self._rest, self._number = b"", 0
        self._events: list[dict[str, Any]] = []

    def __enter__(self) -> Chromium:
        return self

    def __exit__(self, *_: object) -> None:
        os.close(self._to)
        os.close(self._from)
        os.killpg(self._process, signal.SIGKILL)
        os.waitpid(self._process, 0)

    def call(self, method: str, session: str | None = None, **parameters: Any) -> dict[str, Any]:
        """The answer to a command of the protocol."""
        self._number += 1
        message = {"id": self._number, "method": method, "params": parameters}
        text = json.dumps(message | ({"sessionId": session} if session else {}))
        os.write(self._to, text.encode() + b"\0")
        while True:
            answer = self._read()
            if answer.get("id") == self._number:
                assert "error" not in answer, f"{method}: {answer['error']}"
                return dict(answer["result"])
            self._events.append(answer)

    def _read(self) -> dict[str, Any]:
        while b"\0" not in self._rest:
            more = os.read(self._from, 1 << 20)
            assert more, "Chromium ended"
            self._rest += more
        line, _, self._rest = self._rest.partition(b"\0")
        return dict(json.loads(line))

    def events(self, session: str) -> list[dict[str, Any]]:
        """What a tab told of so far."""
        return [event for event in self._events if event.get("sessionId") == session]

    def tab(
        self, path: Path, *, answers: Mapping[str, bytes | None] | None = None, before: str = "", **view: Any
    ) -> Tab:
        """Opens a file as a double click does.

        Parameters
        ----------
        path : Path
        answers : mapping, optional
            What the network answers at each address, None for nothing. These are the addresses that are asked for.
        before : str
            A script that runs before those of the page.
        **view
            As of `Tab`.
        """
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        session = self.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        tab = Tab(self, session, target, **view)
        if answers:
            tab.call("Fetch.enable", patterns=[{"urlPattern": address} for address in answers])
        if before:
            tab.call("Page.addScriptToEvaluateOnNewDocument", source=before)
        tab.call("Page.navigate", url=path.resolve().as_uri())
        for address, body in (answers or {}).items():
            tab.answer(address, body)
        tab.wait("document.readyState === 'complete'")
        return tab


class Tab:
    """A page in the browser.

    Parameters
    ----------
    width, height : int
        Pixels.
    dark : bool
        What the user prefers.
    """

    def __init__(
        self, browser: Chromium, session: str, target: str, *, width: int = 480, height: int = 600, dark: bool = False
    ) -> None:
        self._browser, self._session, self._target = browser, session, target
        for domain in ("Page", "Runtime", "Log", "Network"):
            self.call(f"{domain}.enable")
        self.resize(width, height)
        self.prefer("dark" if dark else "light")

    def call(self, method: str, **parameters: Any) -> dict[str, Any]:
        return self._browser.call(method, self._session, **parameters)

    def close(self) -> None:
        self._browser.call("Target.closeTarget", targetId=self._target)

    def answer(self, address: str, body: bytes | None) -> None:
        """Answers what was asked at an address, as a CDN does: to a page of any origin."""

        def asked() -> list[str]:
            self.value("1")
            events = (e for e in self._browser.events(self._session) if e["method"] == "Fetch.requestPaused")
            return [e["params"]["requestId"] for e in events if e["params"]["request"]["url"] == address]

        self.until(asked, f"{address} is asked for")
        if body is None:
            self.call("Fetch.failRequest", requestId=asked()[0], errorReason="InternetDisconnected")
            return
        headers = [
            {"name": "Access-Control-Allow-Origin", "value": "*"},
            {"name": "Content-Type", "value": "application/javascript; charset=utf-8"},
        ]
        text = base64.b64encode(body).decode("ascii")
        self.call("Fetch.fulfillRequest", requestId=asked()[0], responseCode=200, responseHeaders=headers, body=text)

    def resize(self, width: int, height: int) -> None:
        self.call("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=False)

    def prefer(self, theme: str) -> None:
        """``light`` or ``dark``."""
        self.call("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": theme}])

    def value(self, script: str) -> Any:
        """What a JavaScript expression gives, promises awaited; a thrown error fails the test."""
        answer = self.call("Runtime.evaluate", expression=script, returnByValue=True, awaitPromise=True)
        assert "exceptionDetails" not in answer, answer["exceptionDetails"]
        return answer["result"].get("value")

    def wait(self, condition: str, seconds: float = _PATIENCE_SECONDS) -> None:
        """Until an expression is true."""
        self.until(lambda: self.value(condition), condition, seconds)

    def until(self, condition: Callable[[], object], what: str, seconds: float = _PATIENCE_SECONDS) -> None:
        end = time.monotonic() + seconds
        while not condition():
            assert time.monotonic() < end, f"still not: {what}"
            time.sleep(0.05)

    def texts(self, selector: str) -> list[str]:
        """Text of each element, without space at its ends."""
        elements = f"[...document.querySelectorAll({json.dumps(selector)})]"
        return list(self.value(f"{elements}.map(element => element.textContent.trim())"))

    def box(self, selector: str) -> tuple[float, float, float, float]:
        """Left, top, width and height of an element in the window, after scrolling to it."""
        script = f"""(() => {{
            const element = document.querySelector({json.dumps(selector)});
            element.scrollIntoView({{block: "center"}});
            const box = element.getBoundingClientRect();
            return [box.left, box.top, box.width, box.height];
        }})()"""
        left, top, width, height = self.value(script)
        return left, top, width, height

    def point(self, x: float, y: float) -> None:
        """Moves the mouse."""
        self.call("Input.dispatchMouseEvent", type="mouseMoved", x=x, y=y)

    def click(self, selector: str) -> None:
        left, top, width, height = self.box(selector)
        for kind in ("mousePressed", "mouseReleased"):
            place = {"x": left + width / 2, "y": top + height / 2}
            self.call("Input.dispatchMouseEvent", type=kind, button="left", clickCount=1, **place)

    def press(self, *keys: str) -> None:
        for key in keys:
            for kind in ("keyDown", "keyUp"):
                text = {"text": "\r"} if key == "Enter" and kind == "keyDown" else {}
                self.call("Input.dispatchKeyEvent", type=kind, key=key, code=key, **_KEY_CODES.get(key, {}), **text)

    def screenshot(self, *, full: bool = False) -> bytes:
        """A PNG of the window, or of the whole page."""
        if not full:
            return base64.b64decode(self.call("Page.captureScreenshot")["data"])
        size = self.call("Page.getLayoutMetrics")["cssContentSize"]
        clip = {"x": 0, "y": 0, "width": size["width"], "height": size["height"], "scale": 1}
        return base64.b64decode(self.call("Page.captureScreenshot", captureBeyondViewport=True, clip=clip)["data"])

    def pixels(self, picture: str) -> np.ndarray:
        """Pixels of a picture's data URL, given by an expression: shape (height, width, 4), 0 to 255."""
        from matplotlib.image import imread

        data = base64.b64decode(self.value(picture).partition(",")[2])
        return np.rint(imread(io.BytesIO(data), format="png") * 255).astype(int)

    def complaints(self) -> list[str]:
        """What the console shows in red or yellow, errors nobody caught included."""
        self.value("1")  # what is on its way arrives before the answer
        return [text for event in self._browser.events(self._session) if (text := _complaint(event))]

    def requests(self) -> Sequence[str]:
        """Addresses that the page asked for, but what is in itself."""
        self.value("1")
        events = (e for e in self._browser.events(self._session) if e["method"] == "Network.requestWillBeSent")
        addresses = (str(event["params"]["request"]["url"]) for event in events)
        return [address for address in addresses if not address.startswith(("data:", "blob:"))]


_KEY_CODES = {
    name: {"windowsVirtualKeyCode": code}
    for name, code in {"Tab": 9, "Enter": 13, "Escape": 27, "End": 35, "Home": 36}.items()
} | {
    name: {"windowsVirtualKeyCode": code}
    for name, code in {"ArrowLeft": 37, "ArrowUp": 38, "ArrowRight": 39, "ArrowDown": 40}.items()
}


def _complaint(event: dict[str, Any]) -> str | None:
    method, parameters = event["method"], event["params"]
    if method == "Runtime.exceptionThrown":
        return json.dumps(parameters["exceptionDetails"])
    if method == "Runtime.consoleAPICalled" and parameters["type"] in ("error", "warning", "assert"):
        return " ".join(str(argument.get("value", argument.get("description"))) for argument in parameters["args"])
    if method == "Log.entryAdded" and parameters["entry"]["level"] in ("error", "warning"):
        return str(parameters["entry"]["text"])
    return None
