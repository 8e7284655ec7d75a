"""What only the gateway does: keys, headers, the list of models, health."""

import json
import re

import anthropic
import httpx2
import openai
import pytest

from harness import MASTER_KEY, fetch

CLIENT = "openai"
pytestmark = pytest.mark.gateway_only

HELLO = [{"role": "user", "content": "Hello"}]
KEY = {"authorization": f"Bearer {MASTER_KEY}"}
MODELS = {"gpt", "o-model", "claude", "claude-new"}


# Keys.


@pytest.mark.parametrize("key", ["sk-wrong-1234567890", "nonsense", MASTER_KEY + "x"])
def test_a_wrong_key_is_refused_in_the_dialect_of_the_client(oai, ant, key):
    with pytest.raises(openai.AuthenticationError) as caught:
        oai.with_options(api_key=key).chat.completions.create(model="gpt", messages=HELLO)
    assert caught.value.status_code == 401
    assert MASTER_KEY not in str(caught.value)
    with pytest.raises(anthropic.AuthenticationError) as caught:
        ant.with_options(api_key=key).messages.create(model="claude", max_tokens=64, messages=HELLO)
    assert caught.value.type == "authentication_error"


@pytest.mark.parametrize(
    "headers",
    [
        {"authorization": f"Bearer {MASTER_KEY}"},
        {"x-api-key": MASTER_KEY},
        {"api-key": MASTER_KEY},
        {"x-litellm-api-key": MASTER_KEY},
        {"x-litellm-api-key": f"Bearer {MASTER_KEY}"},
    ],
    ids=lambda headers: "+".join(f"{k} {v[:6]}" for k, v in headers.items()),
)
@pytest.mark.parametrize("path", ["/v1/chat/completions", "/v1/messages"])
def test_a_key_is_found_in_every_header_that_clients_use(gateway, headers, path):
    body = {"model": "gpt", "max_tokens": 64, "messages": HELLO}
    reply = httpx2.post(
        gateway.url + path, json=body, headers={"anthropic-version": "2023-06-01", **headers}
    )
    assert reply.status_code == 200, reply.text
    assert "You said: Hello" in reply.text


def test_no_key_is_refused(gateway, fakes):
    fakes["openai"].clear()
    for path in ("/v1/chat/completions", "/v1/messages", "/v1/models"):
        method = "GET" if path.endswith("models") else "POST"
        body = None if method == "GET" else {"model": "gpt", "max_tokens": 9, "messages": HELLO}
        reply = httpx2.request(method, gateway.url + path, json=body)
        assert reply.status_code == 401
        assert reply.json()["error"]["message"]
    assert fakes["openai"].requests() == []


def test_a_key_beside_another_scheme_still_works(anthropic_options):
    # How the vendor's tools log in: a token in place of a key.
    options = {**anthropic_options, "api_key": None, "auth_token": MASTER_KEY}
    with anthropic.Anthropic(**options) as client:
        reply = client.messages.create(model="claude", max_tokens=64, messages=HELLO)
    assert reply.content[0].text == "You said: Hello"


def test_a_refusal_does_not_cost_the_connection(gateway):
    """The client that is told that its key is wrong was told later that the server hung up."""
    body = {"model": "gpt", "messages": [{"role": "user", "content": "x" * 50_000}]}
    with httpx2.Client(base_url=gateway.url) as client:
        for _ in range(50):
            reply = client.post("/v1/chat/completions", json=body)
            assert reply.status_code == 401
            assert client.post("/v1/nowhere", json=body, headers=KEY).status_code == 404


# Headers.


def check_headers(headers) -> None:
    call = headers["x-ziggurat-call-id"]
    assert re.fullmatch(r"[0-9A-Za-z_-]{8,}", call)
    assert headers["x-litellm-call-id"] == call
    assert headers["x-request-id"]


@pytest.mark.parametrize("model", sorted(MODELS))
def test_every_answer_carries_its_ids(oai, ant, model):
    raw = oai.chat.completions.with_raw_response.create(model=model, messages=HELLO)
    check_headers(raw.headers)
    assert raw.headers["content-type"].startswith("application/json")
    raw = ant.messages.with_raw_response.create(model=model, max_tokens=64, messages=HELLO)
    check_headers(raw.headers)


@pytest.mark.parametrize("model", ["gpt", "claude"])
def test_every_stream_carries_its_ids(oai, model):
    with oai.chat.completions.with_streaming_response.create(
        model=model, messages=HELLO, stream=True
    ) as raw:
        check_headers(raw.headers)
        assert raw.headers["content-type"].startswith("text/event-stream")
        body = raw.read()
    assert body.rstrip().endswith(b"data: [DONE]")


def test_every_failure_carries_its_ids(oai):
    with pytest.raises(openai.NotFoundError) as caught:
        oai.chat.completions.create(model="no-such-model", messages=HELLO)
    check_headers(caught.value.response.headers)


def test_two_calls_have_two_ids(oai):
    ids = {
        oai.chat.completions.with_raw_response.create(model="gpt", messages=HELLO).headers[
            "x-ziggurat-call-id"
        ]
        for _ in range(3)
    }
    assert len(ids) == 3


def test_the_request_id_of_the_client_is_kept_and_a_bad_one_is_not(oai):
    for given, kept in [("my-id-42", True), ("x" * 200, False)]:
        raw = oai.chat.completions.with_raw_response.create(
            model="gpt", messages=HELLO, extra_headers={"x-request-id": given}
        )
        assert (raw.headers["x-request-id"] == given) is kept
        assert raw.headers["x-ziggurat-call-id"] != given


def test_what_the_client_must_not_send_upstream_stays_here(oai, fakes):
    fakes["openai"].clear()
    oai.chat.completions.create(
        model="gpt", messages=HELLO, extra_headers={"cookie": "a=b", "x-private": "secret"}
    )
    headers = fakes["openai"].last().headers
    assert "cookie" not in headers
    assert "x-private" not in headers


# Models.


def test_the_models_of_the_configuration_are_listed(oai, ant):
    listed = list(oai.models.list())
    assert MODELS <= {model.id for model in listed}
    assert {model.object for model in listed} == {"model"}
    assert MODELS <= {model.id for model in ant.models.list()}


def test_one_model_can_be_looked_up(oai):
    assert oai.models.retrieve("gpt").id == "gpt"
    with pytest.raises(openai.NotFoundError):
        oai.models.retrieve("no-such-model")


def test_anthropics_list_has_anthropics_shape(ant):
    page = ant.models.list()
    assert page.first_id == page.data[0].id
    assert page.last_id == page.data[-1].id
    assert not page.has_more
    assert {model.type for model in page.data} == {"model"}
    assert all(model.display_name and model.created_at for model in page.data)
    assert ant.models.retrieve("gpt").id == "gpt"
    with pytest.raises(anthropic.NotFoundError) as caught:
        ant.models.retrieve("no-such-model")
    assert caught.value.type == "not_found_error"


# Paths.


def test_an_api_that_is_not_served_is_named(oai, ant):
    for ask in (
        lambda: oai.images.generate(model="gpt", prompt="Hello"),
        lambda: oai.files.list(),
    ):
        with pytest.raises(openai.NotFoundError) as caught:
            ask()
        assert "/v1/chat/completions" in caught.value.message
    with pytest.raises(anthropic.NotFoundError) as caught:
        ant.messages.batches.list()
    assert "/v1/messages" in caught.value.api_message


def test_a_base_url_with_the_version_twice_is_recognised(gateway, anthropic_options):
    options = {**anthropic_options, "base_url": gateway.url + "/v1"}
    with anthropic.Anthropic(**options) as client:
        with pytest.raises(anthropic.NotFoundError) as caught:
            client.messages.create(model="gpt", max_tokens=64, messages=HELLO)
    assert "base URL" in caught.value.api_message


def test_a_base_url_without_the_version_works(gateway, openai_options):
    with openai.OpenAI(**{**openai_options, "base_url": gateway.url}) as client:
        reply = client.chat.completions.create(model="gpt", messages=HELLO)
    assert reply.choices[0].message.content == "You said: Hello"


def test_a_deployment_in_the_path_is_the_model(gateway, openai_options):
    # As Azure's client asks.
    with openai.AzureOpenAI(
        azure_endpoint=gateway.url, api_version="2024-10-21", api_key=MASTER_KEY, max_retries=0
    ) as client:
        reply = client.chat.completions.create(model="claude", messages=HELLO)
    assert reply.choices[0].message.content == "You said: Hello"


# Health.


def test_health_needs_no_key(gateway):
    assert fetch(gateway.url + "/health/liveliness")
    assert fetch(gateway.url + "/health/readiness")


def test_a_body_that_is_no_json_is_a_bad_request_and_no_more(gateway):
    for path in ("/v1/chat/completions", "/v1/messages"):
        for body in (
            b"{",
            b"[]",
            b"",
            b'{"model":"gpt","model":"claude"}',
            b"\xff\xfe",
            b'{"model":"gpt","max_tokens":9,"messages":[]}',
            b'{"model":"claude","max_tokens":9,"messages":[]}',
        ):
            reply = httpx2.post(
                gateway.url + path,
                content=body,
                headers={
                    "authorization": f"Bearer {MASTER_KEY}",
                    "content-type": "application/json",
                    "anthropic-version": "2023-06-01",
                },
            )
            assert reply.status_code == 400, (path, body, reply.text)
            assert json.loads(reply.text)["error"]["type"] == "invalid_request_error"
