"""The Anthropic client: every failure arrives as the exception that the SDK has for it."""

import anthropic
import httpx2
import pytest

CLIENT = "anthropic"

LIMIT = 1024


def say(text: str) -> list[dict]:
    return [{"role": "user", "content": text}]


def failure(ant, backend, kind, text, **more):
    with pytest.raises(kind) as caught:
        reply = ant.messages.create(
            model=backend.model, max_tokens=LIMIT, messages=say(text), **more
        )
        if more.get("stream"):
            list(reply)
    assert caught.value.api_message
    return caught.value


@pytest.mark.parametrize("stream", [False, True])
def test_too_many_requests(ant, backend, stream):
    error = failure(ant, backend, anthropic.RateLimitError, "[error:429]", stream=stream)
    assert error.status_code == 429
    assert error.type == "rate_limit_error"
    assert float(error.response.headers["retry-after"]) > 0


@pytest.mark.parametrize("stream", [False, True])
def test_a_provider_that_broke(ant, backend, stream):
    error = failure(ant, backend, anthropic.InternalServerError, "[error:500]", stream=stream)
    assert error.status_code == 500
    assert error.type == "api_error"


def test_a_provider_that_is_overloaded(ant, backend):
    error = failure(ant, backend, anthropic.InternalServerError, "[error:overloaded]")
    assert error.type == "overloaded_error"
    # The other dialect's 503 takes this dialect's number.
    assert error.status_code == 529


@pytest.mark.parametrize("stream", [False, True])
def test_a_prompt_that_is_too_long(ant, backend, stream):
    error = failure(ant, backend, anthropic.BadRequestError, "[error:context]", stream=stream)
    assert error.type == "invalid_request_error"
    assert "prompt is too long" in error.api_message


def test_an_error_in_a_stream_is_raised_after_the_text_before_it(ant, backend):
    stream = ant.messages.create(
        model=backend.model, max_tokens=LIMIT, messages=say("[midstream-error] Hello"), stream=True
    )
    text = ""
    with pytest.raises(anthropic.APIStatusError) as caught:
        for event in stream:
            assert event.type not in ("message_delta", "message_stop")
            if event.type == "content_block_delta":
                text += event.delta.text
    assert text
    assert caught.value.type in ("overloaded_error", "api_error")


def test_a_stream_that_is_cut_does_not_look_finished(ant, backend):
    stream = ant.messages.create(
        model=backend.model, max_tokens=LIMIT, messages=say("[cut] Hello"), stream=True
    )
    # Without a gateway the client lets its transport's own error through.
    with pytest.raises((anthropic.APIError, httpx2.TransportError)):
        for event in stream:
            assert event.type not in ("message_delta", "message_stop")


@pytest.mark.gateway_only
def test_a_model_that_nobody_has(ant):
    with pytest.raises(anthropic.NotFoundError) as caught:
        ant.messages.create(model="no-such-model", max_tokens=LIMIT, messages=say("Hello"))
    assert "no-such-model" in caught.value.api_message
    assert caught.value.type == "not_found_error"


@pytest.mark.gateway_only
def test_a_request_that_is_wrong_names_the_member(ant, backend):
    error = failure(
        ant, backend, anthropic.BadRequestError, "Hello", extra_body={"messages": "not a list"}
    )
    assert error.type == "invalid_request_error"
    assert "messages" in error.api_message


@pytest.mark.parametrize("backend", ["anthropic"], indirect=True)
def test_the_version_of_the_api_that_the_client_states_holds(ant, backend):
    # Since this version sampling parameters are refused, even at their defaults.
    error = failure(
        ant,
        backend,
        anthropic.BadRequestError,
        "Hello",
        extra_headers={"anthropic-version": "2026-10-21"},
        extra_body={"temperature": 1.0},
    )
    assert error.type == "invalid_request_error"


@pytest.mark.gateway_only
def test_the_next_call_after_a_failure_succeeds(ant, backend):
    for _ in range(3):
        failure(ant, backend, anthropic.InternalServerError, "[error:500]")
    reply = ant.messages.create(model=backend.model, max_tokens=LIMIT, messages=say("Hello"))
    assert reply.content[0].text == "You said: Hello"
