"""A headless Chromium driven over its DevTools pipe: JSON messages that end in a zero byte, standard library alone."""

import base64
import contextlib
import json
import select
import shutil
import subprocess
import time
from pathlib import Path
from typing import Any

FLAGS = (
    "--headless=new --no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking "
    "--disable-component-update --disable-sync --disable-extensions --hide-scrollbars --remote-debugging-pipe"
)
BINARY = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
TIMEOUT = 30  # seconds


class Browser:
    """One page. `events` holds every event so far as (method, parameters)."""

    def __init__(self, profile: Path) -> None:
        # The browser reads messages from descriptor 3 and writes them to 4.
        shell = ["sh", "-c", 'exec "$@" 3<&0 4>&1 </dev/null >/dev/null 2>&1', "sh"]
        command = [*shell, str(BINARY), *FLAGS.split(), f"--user-data-dir={profile}", "about:blank"]
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        self.events: list[tuple[str, dict[str, Any]]] = []
        self.number, self.session, self.buffer = 0, "", b""
        targets: list[dict[str, Any]] = []
        while not targets:
            infos = self.call("Target.getTargets")["targetInfos"]
            targets = [target for target in infos if target["type"] == "page"]
        attached = self.call("Target.attachToTarget", targetId=targets[0]["targetId"], flatten=True)
        self.session = attached["sessionId"]
        for domain in ("Page", "Runtime", "Log", "Network"):
            self.call(f"{domain}.enable")

    def call(self, method: str, **parameters: Any) -> dict[str, Any]:
        """Send a command and wait for its result."""
        self.number += 1
        message = {"id": self.number, "method": method, "params": parameters}
        if self.session:
            message["sessionId"] = self.session
        assert self.process.stdin is not None
        self.process.stdin.write(json.dumps(message).encode() + b"\0")
        self.process.stdin.flush()
        while True:
            answer = self._read()
            if answer.get("id") == self.number:
                if "error" in answer:
                    raise RuntimeError(f"{method}: {answer['error']['message']}")
                result: dict[str, Any] = answer["result"]
                return result

    def _read(self) -> dict[str, Any]:
        assert self.process.stdout is not None
        while b"\0" not in self.buffer:
            if not select.select([self.process.stdout], [], [], TIMEOUT)[0]:
                raise TimeoutError("the browser does not answer")
            block = self.process.stdout.read1(1 << 16)  # type: ignore[attr-defined]
            if not block:
                raise RuntimeError("the browser ended")
            self.buffer += block
        line, _, self.buffer = self.buffer.partition(b"\0")
        answer: dict[str, Any] = json.loads(line)
        if "method" in answer:
            self.events.append((answer["method"], answer["params"]))
        return answer

    def open(self, address: str, *, width: int = 1280, dark: bool = False, script: bool = True) -> None:
        """Load a page with a window width and colour scheme, and drop the events of the previous page."""
        self.call(
            "Emulation.setDeviceMetricsOverride", width=width, height=900, deviceScaleFactor=1, mobile=width < 600
        )
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        still = {"name": "prefers-reduced-motion", "value": "reduce"}
        self.call("Emulation.setEmulatedMedia", features=[scheme, still])
        self.call("Emulation.setScriptExecutionDisabled", value=not script)
        self.events.clear()
        self.call("Page.navigate", url=address)
        self.wait(lambda: any(method == "Page.loadEventFired" for method, _ in self.events))

    def wait(self, done: Any, seconds: float = TIMEOUT) -> None:
        """Poll until `done()` is true."""
        end = time.monotonic() + seconds
        while not done():
            if time.monotonic() > end:
                raise TimeoutError("the condition did not become true in time")
            self.call("Runtime.evaluate", expression="0")
            time.sleep(0.01)

    def value(self, expression: str) -> Any:
        """The value of a JavaScript expression in the page."""
        answer = self.call("Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True)
        if "exceptionDetails" in answer:
            raise RuntimeError(str(answer["exceptionDetails"]))
        return answer["result"].get("value")

    def move(self, x: float, y: float) -> None:
        """Move the mouse."""
        self.call("Input.dispatchMouseEvent", type="mouseMoved", x=x, y=y)

    def tap(self, x: float, y: float) -> None:
        """Tap a position on a touch screen."""
        self.call("Input.dispatchTouchEvent", type="touchStart", touchPoints=[{"x": x, "y": y}])
        self.call("Input.dispatchTouchEvent", type="touchEnd", touchPoints=[])

    def press(self, key: str) -> None:
        """Press and release a named key, such as `ArrowLeft`."""
        for kind in ("keyDown", "keyUp"):
            self.call("Input.dispatchKeyEvent", type=kind, key=key, code=key)

    def type(self, text: str) -> None:
        """Enter text into the focused element."""
        self.call("Input.insertText", text=text)

    def picture(self, path: Path, *, full: bool = False) -> None:
        """Write a PNG of the window, or of the whole page."""
        taken = self.call("Page.captureScreenshot", captureBeyondViewport=full)
        path.write_bytes(base64.b64decode(taken["data"]))

    def complaints(self) -> list[str]:
        """Errors and warnings of the page: uncaught exceptions, console output, browser log entries."""
        messages = [json.dumps(params) for method, params in self.events if method == "Runtime.exceptionThrown"]
        messages += [json.dumps(params) for method, params in self.events if method == "Runtime.consoleAPICalled"]
        return messages + [params["entry"]["text"] for method, params in self.events if method == "Log.entryAdded"]

    def requests(self) -> list[str]:
        """URLs that the page requested."""
        requests = [params for method, params in self.events if method == "Network.requestWillBeSent"]
        return [params["request"]["url"] for params in requests]

    def close(self) -> None:
        """End the browser."""
        self.session = ""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        with contextlib.suppress(RuntimeError, BrokenPipeError):
            self.call("Browser.close")
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.process.stdin.close()
        self.process.stdout.close()
