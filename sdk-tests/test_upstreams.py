"""Providers that are not there, not well, or not what they should be: what the clients are told."""

import http.server
import socket
import threading

import anthropic
import openai
import pytest

from harness import MASTER_KEY, Gateway

CLIENT = "openai"
pytestmark = pytest.mark.gateway_only

HELLO = [{"role": "user", "content": "Hello"}]

# What stands at an address, by the first segment of the path: status, content type, body.
ANSWERS = {
    "html-502": (502, "text/html", b"<html>502 Bad Gateway</html>"),
    "html-200": (200, "text/html", b"<html>Log in</html>"),
    "nothing": (200, "application/json", b""),
    "redirect": (307, "text/html", b""),
    "no-page": (404, "text/plain", b"404 page not found"),
    "only-words": (404, "application/json", b'{"error":"no such model"}'),
    "detail": (422, "application/json", b'{"detail":"no such model"}'),
}


class Wrong(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self):
        self.rfile.read(int(self.headers["content-length"]))
        status, kind, body = ANSWERS[self.path.split("/")[1]]
        self.send_response(status)
        self.send_header("content-type", kind)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


@pytest.fixture(scope="module")
def clients(fakes, tmp_path_factory):
    """An OpenAI and an Anthropic client of a gateway where everything is wrong."""
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Wrong)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    # Takes connections and never says anything.
    silent = socket.create_server(("127.0.0.1", 0))
    bases = {
        "dead": "http://127.0.0.1:1/v1",
        "unknown-host": "http://no-such-host.invalid/v1",
        "no-tls": f"https://127.0.0.1:{server.server_port}/v1",
        "silent": f"http://127.0.0.1:{silent.getsockname()[1]}/v1",
        "wrong-key": fakes["openai"].url + "/v1",
    }
    bases |= {name: f"http://127.0.0.1:{server.server_port}/{name}/v1" for name in ANSWERS}
    lines = ["model_list:"]
    for name, base in bases.items():
        params = f"{{model: openai/gpt-4.1, api_base: '{base}', api_key: sk-wrong, timeout: 1}}"
        lines += [f"  - model_name: {name}", f"    litellm_params: {params}"]
    lines += ["router_settings: {num_retries: 0}", f"general_settings: {{master_key: {MASTER_KEY}}}"]
    gateway = Gateway("\n".join(lines), tmp_path_factory.mktemp("upstreams"))
    options = {"api_key": MASTER_KEY, "max_retries": 0, "timeout": 30.0}
    with (
        openai.OpenAI(base_url=gateway.url + "/v1", **options) as oai,
        anthropic.Anthropic(base_url=gateway.url, **options) as ant,
    ):
        yield oai, ant, gateway
    gateway.program.stop()
    silent.close()
    server.shutdown()


def failures(clients, model):
    """What each way of asking raises."""
    oai, ant, _ = clients
    for stream in (False, True):
        with pytest.raises(openai.APIStatusError) as caught:
            list(oai.chat.completions.create(model=model, messages=HELLO, stream=stream))
        assert set(caught.value.body) >= {"message", "type", "param", "code"}
        yield caught.value.status_code, caught.value.body["message"]
        with pytest.raises(anthropic.APIStatusError) as caught:
            list(ant.messages.create(model=model, max_tokens=9, messages=HELLO, stream=stream))
        assert caught.value.type
        yield caught.value.status_code, caught.value.api_message


@pytest.mark.parametrize(
    ("model", "status", "words"),
    [
        ("dead", 502, "could not be reached"),
        ("unknown-host", 502, "could not be reached"),
        ("no-tls", 502, "could not be reached"),
        ("silent", 504, "within 1 s"),
        ("wrong-key", 502, "credential"),
        ("html-502", 502, "502"),
        ("html-200", 502, "malformed"),
        ("nothing", 502, "malformed"),
        ("redirect", 502, "307"),
        ("no-page", 404, "404"),
        ("only-words", 404, "no such model"),
    ],
)
def test_every_client_is_told_what_went_wrong(clients, model, status, words):
    for found, message in failures(clients, model):
        assert found == status
        assert words in message
        assert "sk-wrong" not in message


def test_a_status_that_the_provider_chose_stays_in_its_dialect(clients):
    oai, ant, _ = clients
    with pytest.raises(openai.UnprocessableEntityError) as caught:
        oai.chat.completions.create(model="detail", messages=HELLO)
    assert caught.value.body["message"] == "no such model"
    with pytest.raises(anthropic.BadRequestError) as caught:
        ant.messages.create(model="detail", max_tokens=9, messages=HELLO)
    assert caught.value.api_message == "no such model"


@pytest.mark.parametrize(
    ("model", "cause"),
    [("dead", "refused"), ("unknown-host", "lookup"), ("no-tls", "corrupt message")],
)
def test_the_log_says_why_a_provider_cannot_be_reached(clients, model, cause):
    oai, _, gateway = clients
    with pytest.raises(openai.InternalServerError):
        oai.chat.completions.create(model=model, messages=HELLO)

    def told():
        lines = gateway.program.output().splitlines()
        return [line for line in lines if f'model="{model}"' in line and cause in line]

    assert gateway.program.wait_for(f"line about {model}", told)


def test_the_log_holds_no_keys(clients):
    _, _, gateway = clients
    list(failures(clients, "wrong-key"))
    log = gateway.program.output()
    assert "sk-wrong" not in log
    assert MASTER_KEY not in log
