"""llama.cpp's server with a tiny model of random weights, asked through the gateway by the vendors' own clients.

Nothing here is a fake: the model is computed, token by token, by a server that was not written for these tests. Run it by
`cargo xtask model`, which builds the gateway, installs the server and sets `ZIGGURAT_BIN`.
"""

import sys
import threading
import urllib.error

import anthropic
import openai
import pytest

import tiny_model
from harness import MASTER_KEY, Gateway, Program, fetch, free_port

CONFIG = """\
model_list:
  - model_name: tiny
    litellm_params:
      model: llama_cpp/tiny
      api_base: {url}/v1
      api_key: none
  - model_name: dead
    litellm_params:
      model: openai/tiny
      api_base: http://127.0.0.1:{nobody}/v1
      api_key: none
router_settings:
  num_retries: 0
general_settings:
  master_key: {master}
"""


@pytest.fixture(scope="session")
def server(tmp_path_factory):
    directory = tmp_path_factory.mktemp("model")
    model = directory / "tiny.gguf"
    tiny_model.write(model)
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    options = {
        "--model": model,
        "--model_alias": "tiny",
        "--host": "127.0.0.1",
        "--port": port,
        "--chat_format": "chatml",
        "--n_ctx": tiny_model.CONTEXT,
        "--n_threads": 1,
        # Or a new caller would cut off the one before.
        "--interrupt_requests": "false",
    }
    argv = [sys.executable, "-m", "llama_cpp.server"]
    argv += [str(word) for option in options.items() for word in option]
    program = Program(argv, directory / "server.log")

    def answers():
        try:
            return fetch(url + "/v1/models")
        except (urllib.error.URLError, ConnectionError, TimeoutError):
            return None

    program.wait_for("list of models", answers)
    yield url
    program.stop()


@pytest.fixture(scope="session")
def url(server, tmp_path_factory):
    text = CONFIG.format(url=server, nobody=free_port(), master=MASTER_KEY)
    gateway = Gateway(text, tmp_path_factory.mktemp("gateway"))
    yield gateway.url
    gateway.program.stop()


@pytest.fixture
def oai(url):
    with openai.OpenAI(base_url=url + "/v1", api_key=MASTER_KEY, max_retries=0, timeout=60) as client:
        yield client


@pytest.fixture
def direct(server):
    """The server without the gateway."""
    with openai.OpenAI(base_url=server + "/v1", api_key="none", max_retries=0, timeout=60) as client:
        yield client


@pytest.fixture
def ant(url):
    with anthropic.Anthropic(base_url=url, api_key=MASTER_KEY, max_retries=0, timeout=60) as client:
        yield client


ASK = [{"role": "user", "content": "Say something."}]
# The same answer each time.
FIXED = {"temperature": 0, "max_tokens": 24}


def chunks(client, **more):
    return list(
        client.chat.completions.create(
            model="tiny", messages=ASK, stream=True, stream_options={"include_usage": True}, **more
        )
    )


def test_a_whole_answer_is_what_the_server_says_itself(oai, direct):
    reply = oai.chat.completions.create(model="tiny", messages=ASK, seed=1, **FIXED)
    own = direct.chat.completions.create(model="tiny", messages=ASK, seed=1, **FIXED)
    assert reply.choices[0].message.content == own.choices[0].message.content
    assert reply.choices[0].finish_reason == own.choices[0].finish_reason == "length"
    assert reply.usage == own.usage
    assert reply.usage.completion_tokens >= 20


def said(pieces):
    return [c.choices[0].delta.content for c in pieces if c.choices and c.choices[0].delta.content]


def test_a_stream_says_the_same_piece_by_piece(oai, direct):
    pieces = chunks(oai, seed=1, **FIXED)
    # Not the whole answer: the server leaves out of a stream what is no complete character.
    assert said(pieces) == said(chunks(direct, seed=1, **FIXED))
    assert len(said(pieces)) > 5
    assert [c.choices[0].finish_reason for c in pieces if c.choices][-1] == "length"


def test_the_other_vendors_client_reads_it(ant, oai):
    # Its client has no word for it any more, the API has.
    fixed = {"max_tokens": 24, "extra_body": {"temperature": 0}}
    reply = ant.messages.create(model="tiny", messages=ASK, **fixed)
    expected = oai.chat.completions.create(model="tiny", messages=ASK, **FIXED)
    assert reply.content[0].text == expected.choices[0].message.content
    assert reply.stop_reason == "max_tokens"
    assert reply.usage.input_tokens == expected.usage.prompt_tokens
    with ant.messages.stream(model="tiny", messages=ASK, **fixed) as stream:
        assert list(stream.text_stream) == said(chunks(oai, **FIXED))
        assert stream.get_final_message().stop_reason == "max_tokens"


def test_a_prompt_that_is_too_long_is_the_callers_fault(oai, ant):
    long = [{"role": "user", "content": "word " * 1000}]
    with pytest.raises(openai.BadRequestError) as refused:
        oai.chat.completions.create(model="tiny", messages=long, max_tokens=8)
    assert "context" in str(refused.value).lower()
    with pytest.raises(anthropic.BadRequestError):
        ant.messages.create(model="tiny", messages=long, max_tokens=8)


def test_many_callers_at_once_are_all_answered(oai):
    expected = said(chunks(oai, seed=1, **FIXED))
    texts = []

    def ask():
        texts.append(said(chunks(oai, seed=1, **FIXED)))

    callers = [threading.Thread(target=ask) for _ in range(8)]
    for caller in callers:
        caller.start()
    for caller in callers:
        caller.join(60)
    assert texts == [expected] * 8


def test_a_caller_who_leaves_takes_nobody_along(oai):
    stream = oai.chat.completions.create(model="tiny", messages=ASK, stream=True, max_tokens=100)
    next(iter(stream))
    stream.close()
    reply = oai.chat.completions.create(model="tiny", messages=ASK, max_tokens=4)
    assert reply.choices[0].finish_reason == "length"


def test_a_server_that_is_not_there_is_a_bad_gateway(oai):
    with pytest.raises(openai.InternalServerError) as failed:
        oai.chat.completions.create(model="dead", messages=ASK, max_tokens=4)
    assert failed.value.status_code == 502
