"""Starting the programs under test, and asking the fake providers what reached them."""

import json
import os
import re
import select
import socket
import subprocess
import time
import urllib.error
import urllib.request
from dataclasses import dataclass
from pathlib import Path

MASTER_KEY = "sk-master-1234567890"
PROVIDER_KEY = "sk-provider-0987654321"

# With DIRECT=1 each client talks to its own vendor's fake without the gateway between: a test that
# fails then is wrong itself, or the fake is.
DIRECT = os.environ.get("DIRECT", "") not in ("", "0")

# Seconds. Loopback answers at once; a busy machine may be slow to start a program.
START = 30.0


class Program:
    """A child process whose output goes to a file, so that a full pipe never blocks it."""

    def __init__(self, argv: list[str], log: Path, env: dict[str, str] | None = None):
        self.name = Path(argv[0]).name
        self.log = log
        with log.open("wb") as sink:
            self.process = subprocess.Popen(
                argv,
                stdin=subprocess.DEVNULL,
                stdout=sink,
                stderr=subprocess.STDOUT,
                env={**os.environ, **(env or {})},
            )

    def output(self) -> str:
        return self.log.read_text(errors="replace")

    def wait_for(self, what: str, ready):
        """Polls `ready` until it returns something true, while the program lives."""
        end = time.monotonic() + START
        while time.monotonic() < end:
            if found := ready():
                return found
            if self.process.poll() is not None:
                break
            select.select([], [], [], 0.02)
        state = self.process.poll()
        state = "still runs" if state is None else f"ended with {state}"
        raise RuntimeError(f"{self.name} {state}, and no {what}:\n{self.output()}")

    def stop(self) -> None:
        self.process.terminate()
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


@dataclass
class Request:
    """A request as the fake provider received it."""

    method: str
    path: str
    headers: dict[str, str]
    # As JSON; `None` when it is none.
    body: dict | None


class Fake:
    """A fake provider that speaks one dialect."""

    def __init__(self, dialect: str, log_dir: Path):
        binary = os.environ["FAKE_PROVIDER_BIN"]
        log = log_dir / f"fake-{dialect}.log"
        self.dialect = dialect
        # It takes no other key: what the callers of the gateway send must never get this far.
        self.program = Program([binary, "--dialect", dialect, "--key", PROVIDER_KEY], log)
        self.url = self.program.wait_for("address", self._address)

    def _address(self) -> str | None:
        # The space after it: what was flushed may end amid the port.
        match = re.search(r"listening on (http://\S+)\s", self.program.output())
        return match and match.group(1)

    def requests(self) -> list[Request]:
        """What has come since the last `clear`, oldest first."""
        return [
            Request(
                method=item["method"],
                path=item["path"],
                headers=item["headers"],
                body=item["json"],
            )
            for item in json.loads(fetch(self.url + "/__requests"))
        ]

    def last(self) -> Request:
        requests = self.requests()
        assert requests, f"nothing reached the fake {self.dialect} provider"
        return requests[-1]

    def clear(self) -> None:
        fetch(self.url + "/__requests", method="DELETE")

    def disconnects(self) -> int:
        """How many clients left in the middle of an answer."""
        return int(fetch(self.url + "/__disconnects"))

    def wait_for_disconnect(self, before: int) -> None:
        """Waits until one more than `before` has left."""
        self.program.wait_for("disconnect", lambda: self.disconnects() > before)


def fetch(url: str, method: str = "GET", headers: dict[str, str] | None = None) -> bytes:
    request = urllib.request.Request(url, method=method, headers=headers or {})
    with urllib.request.urlopen(request, timeout=10) as response:
        return response.read()


# LiteLLM's format. Retries are off: a test of an error wants the first answer, soon.
CONFIG = """\
model_list:
  - model_name: gpt
    litellm_params:
      model: openai/gpt-4.1
      api_base: {openai}/v1
      api_key: {key}
  - model_name: o-model
    litellm_params:
      model: openai/o4-mini
      api_base: {openai}/v1
      api_key: {key}
  - model_name: claude
    litellm_params:
      model: anthropic/claude-sonnet-4-5
      api_base: {anthropic}
      api_key: {key}
  - model_name: claude-new
    litellm_params:
      model: anthropic/claude-opus-4-8
      api_base: {anthropic}
      api_key: {key}
router_settings:
  num_retries: 0
general_settings:
  master_key: {master}
"""


def config_over(fakes: dict[str, Fake]) -> str:
    urls = {dialect: fake.url for dialect, fake in fakes.items()}
    return CONFIG.format(**urls, key=PROVIDER_KEY, master=MASTER_KEY)


class Gateway:
    """The gateway, as the text of a configuration says."""

    def __init__(self, text: str, directory: Path):
        config = directory / "config.yaml"
        config.write_text(text)
        port = free_port()
        self.url = f"http://127.0.0.1:{port}"
        self.program = Program(
            [
                os.environ["ZIGGURAT_BIN"],
                "--config",
                str(config),
                "--host",
                "127.0.0.1",
                "--port",
                str(port),
            ],
            directory / "gateway.log",
        )
        self.program.wait_for("answer of /health/liveliness", self._alive)

    def _alive(self) -> bool:
        try:
            fetch(self.url + "/health/liveliness")
        except (urllib.error.URLError, ConnectionError, TimeoutError):
            return False
        return True


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]
