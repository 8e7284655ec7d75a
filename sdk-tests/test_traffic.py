"""What the gateway does with calls that fail, that come twice, and that are too many: as the vendors'
own clients see it."""

import uuid

import anthropic
import openai
import pytest

from harness import MASTER_KEY, PROVIDER_KEY, Gateway, fetch

CLIENT = "openai"
pytestmark = pytest.mark.gateway_only

CONFIG = """\
model_list:
  - model_name: gpt
    litellm_params: {{model: openai/gpt-4.1, api_base: '{openai}/v1', api_key: {key}}}
  - model_name: claude
    litellm_params: {{model: anthropic/claude-sonnet-4-5, api_base: '{anthropic}', api_key: {key}}}
  # The first of the two is not there.
  - model_name: pair
    litellm_params: {{model: openai/gpt-4.1, api_base: 'http://127.0.0.1:1/v1', api_key: k, order: 1}}
  - model_name: pair
    litellm_params: {{model: openai/gpt-4.1, api_base: '{openai}/v1', api_key: {key}, order: 2}}
  - model_name: to-claude
    litellm_params: {{model: openai/gpt-4.1, api_base: 'http://127.0.0.1:1/v1', api_key: k, num_retries: 0}}
  - model_name: to-gpt
    litellm_params: {{model: anthropic/claude-sonnet-4-5, api_base: 'http://127.0.0.1:1', api_key: k, num_retries: 0}}
  - model_name: scarce
    litellm_params: {{model: openai/gpt-4.1, api_base: '{openai}/v1', api_key: {key}}}
router_settings:
  num_retries: 1
  fallbacks: [{{to-claude: [claude]}}, {{to-gpt: [gpt]}}]
litellm_settings:
  cache: true
  cache_params: {{type: local, mode: default_off}}
general_settings:
  master_key: {master}
ziggurat:
  retry: {{backoff_base: 10ms}}
  rate_limits: {{models: {{scarce: {{requests_per_minute: 1}}}}}}
"""


@pytest.fixture(scope="module")
def traffic(fakes, tmp_path_factory):
    urls = {dialect: fake.url for dialect, fake in fakes.items()}
    text = CONFIG.format(**urls, key=PROVIDER_KEY, master=MASTER_KEY)
    gateway = Gateway(text, tmp_path_factory.mktemp("traffic"))
    yield gateway
    gateway.program.stop()


@pytest.fixture
def oai(traffic):
    # The client's own retries are off: the gateway's are meant.
    with openai.OpenAI(base_url=traffic.url + "/v1", api_key=MASTER_KEY, max_retries=0) as client:
        yield client


@pytest.fixture
def ant(traffic):
    with anthropic.Anthropic(base_url=traffic.url, api_key=MASTER_KEY, max_retries=0) as client:
        yield client


def say(text):
    return [{"role": "user", "content": text}]


def ask_openai(oai, model, text, stream=False, **more):
    """The text, and the headers it came with."""
    raw = oai.chat.completions.with_raw_response.create(
        model=model, messages=say(text), stream=stream, **more
    )
    reply = raw.parse()
    if not stream:
        return reply.choices[0].message.content, raw.headers
    chunks = [chunk.choices[0].delta.content or "" for chunk in reply if chunk.choices]
    return "".join(chunks), raw.headers


def ask_anthropic(ant, model, text, stream=False, **more):
    raw = ant.messages.with_raw_response.create(
        model=model, max_tokens=100, messages=say(text), stream=stream, **more
    )
    reply = raw.parse()
    if not stream:
        return reply.content[0].text, raw.headers
    deltas = [event.delta for event in reply if event.type == "content_block_delta"]
    return "".join(delta.text for delta in deltas), raw.headers


@pytest.mark.parametrize("stream", [False, True])
def test_a_sibling_takes_over(oai, ant, stream):
    for ask, client in ((ask_openai, oai), (ask_anthropic, ant)):
        text, headers = ask(client, "pair", "Hello", stream)
        assert text == "You said: Hello"
        assert headers["x-litellm-attempted-fallbacks"] == "0"


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(("model", "other"), [("to-claude", "claude"), ("to-gpt", "gpt")])
def test_another_model_takes_over_whatever_its_dialect(oai, ant, model, other, stream):
    for ask, client in ((ask_openai, oai), (ask_anthropic, ant)):
        text, headers = ask(client, model, "Hello", stream)
        assert text == "You said: Hello"
        assert headers["x-litellm-attempted-fallbacks"] == "1"
        assert headers["x-litellm-model-group"] == other


def test_callers_name_models_of_their_own_and_may_want_none(oai):
    text, headers = ask_openai(oai, "to-claude", "Hello", extra_body={"fallbacks": ["gpt"]})
    assert text == "You said: Hello"
    assert headers["x-litellm-model-group"] == "gpt"
    with pytest.raises(openai.InternalServerError) as caught:
        ask_openai(oai, "to-claude", "Hello", extra_body={"disable_fallbacks": True})
    assert caught.value.status_code == 502


def test_callers_say_how_often(oai, ant):
    with pytest.raises(openai.InternalServerError) as caught:
        ask_openai(oai, "gpt", "[error:500] Hello", extra_body={"num_retries": 2})
    assert caught.value.response.headers["x-litellm-attempted-retries"] == "2"
    with pytest.raises(anthropic.InternalServerError) as caught:
        ask_anthropic(
            ant, "claude", "[error:500] Hello", extra_headers={"x-litellm-num-retries": "0"}
        )
    assert caught.value.response.headers["x-litellm-attempted-retries"] == "0"
    with pytest.raises(openai.BadRequestError) as caught:
        ask_openai(oai, "gpt", "Hello", extra_body={"num_retries": "twice"})
    assert caught.value.param == "num_retries"


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(("model", "provider"), [("gpt", "openai"), ("claude", "anthropic")])
def test_what_was_answered_is_answered_again_in_both_dialects(
    oai, ant, fakes, model, provider, stream
):
    cached = {"extra_body": {"cache": {"use-cache": True}}}
    hello = f"Hello {uuid.uuid4()}"
    fakes[provider].clear()
    first, headers = ask_openai(oai, model, hello, stream, max_tokens=100, **cached)
    assert "x-ziggurat-cached" not in headers
    again, headers = ask_openai(oai, model, hello, stream, max_tokens=100, **cached)
    assert (again, headers["x-ziggurat-cached"]) == (first, "true")
    assert headers["x-litellm-cache-key"]
    other, headers = ask_anthropic(ant, model, hello, stream, **cached)
    assert (other, headers["x-ziggurat-cached"]) == (first, "true")
    assert len(fakes[provider].requests()) == 1
    # Whoever does not ask for it has none of it.
    ask_openai(oai, model, hello, stream, max_tokens=100)
    assert len(fakes[provider].requests()) == 2


def test_the_cache_is_emptied_by_whoever_has_the_key(traffic):
    key = {"authorization": f"Bearer {MASTER_KEY}"}
    assert b'"healthy"' in fetch(traffic.url + "/cache/ping", headers=key)
    assert b'"success"' in fetch(traffic.url + "/cache/flushall", method="POST", headers=key)


def test_too_many_calls_are_refused_with_a_time_to_come_back(oai, ant):
    _, headers = ask_openai(oai, "scarce", "Hello")
    assert headers["x-ratelimit-limit-requests"] == "1"
    assert headers["x-ratelimit-remaining-requests"] == "0"
    for stream in (False, True):
        with pytest.raises(openai.RateLimitError) as caught:
            ask_openai(oai, "scarce", "Hello", stream)
        headers = caught.value.response.headers
        assert 0 < int(headers["retry-after"]) <= 60
        assert headers["x-ratelimit-remaining-requests"] == "0"
        with pytest.raises(anthropic.RateLimitError) as caught:
            ask_anthropic(ant, "scarce", "Hello", stream)
        assert caught.value.type == "rate_limit_error"
        assert int(caught.value.response.headers["retry-after"]) > 0
