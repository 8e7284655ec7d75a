"""The OpenAI client: every failure arrives as the exception that the SDK has for it."""

import openai
import pytest

CLIENT = "openai"


def say(text: str) -> list[dict]:
    return [{"role": "user", "content": text}]


def failure(oai, backend, kind, text, **more):
    with pytest.raises(kind) as caught:
        reply = oai.chat.completions.create(model=backend.model, messages=say(text), **more)
        if more.get("stream"):
            list(reply)
    return caught.value


@pytest.mark.parametrize("stream", [False, True])
def test_too_many_requests(oai, backend, stream):
    error = failure(oai, backend, openai.RateLimitError, "[error:429]", stream=stream)
    assert error.status_code == 429
    assert float(error.response.headers["retry-after"]) > 0
    assert error.message
    assert isinstance(error.type, str)


@pytest.mark.parametrize("stream", [False, True])
def test_a_provider_that_broke(oai, backend, stream):
    error = failure(oai, backend, openai.InternalServerError, "[error:500]", stream=stream)
    assert error.status_code == 500


def test_a_provider_that_is_overloaded(oai, backend):
    error = failure(oai, backend, openai.InternalServerError, "[error:overloaded]")
    # The other dialect's 529 takes this dialect's number.
    assert error.status_code == 503


@pytest.mark.parametrize("stream", [False, True])
def test_a_prompt_that_is_too_long(oai, backend, stream):
    error = failure(oai, backend, openai.BadRequestError, "[error:context]", stream=stream)
    assert error.status_code == 400
    assert error.code == "context_length_exceeded"


def test_an_error_in_a_stream_is_raised_after_the_text_before_it(oai, backend):
    stream = oai.chat.completions.create(
        model=backend.model, messages=say("[midstream-error] Hello"), stream=True
    )
    text = ""
    with pytest.raises(openai.APIError) as caught:
        for chunk in stream:
            if chunk.choices:
                text += chunk.choices[0].delta.content or ""
                assert chunk.choices[0].finish_reason is None
    assert text
    assert caught.value.message
    assert not isinstance(caught.value, openai.APIConnectionError)


def test_a_stream_that_is_cut_does_not_look_finished(oai, backend):
    stream = oai.chat.completions.create(
        model=backend.model, messages=say("[cut] Hello"), stream=True
    )
    reasons = []
    with pytest.raises(openai.APIError):
        for chunk in stream:
            reasons += [choice.finish_reason for choice in chunk.choices if choice.finish_reason]
    assert reasons == []


@pytest.mark.gateway_only
def test_a_model_that_nobody_has(oai):
    with pytest.raises(openai.NotFoundError) as caught:
        oai.chat.completions.create(model="no-such-model", messages=say("Hello"))
    assert "no-such-model" in caught.value.message
    assert caught.value.code == "model_not_found"


@pytest.mark.gateway_only
def test_a_request_that_is_wrong_names_the_member(oai, backend):
    error = failure(
        oai, backend, openai.BadRequestError, "Hello", extra_body={"messages": "not a list"}
    )
    assert error.type == "invalid_request_error"
    assert "messages" in error.message


@pytest.mark.gateway_only
def test_the_next_call_after_a_failure_succeeds(oai, backend):
    for _ in range(3):
        failure(oai, backend, openai.InternalServerError, "[error:500]")
    reply = oai.chat.completions.create(model=backend.model, messages=say("Hello"))
    assert reply.choices[0].message.content == "You said: Hello"


@pytest.mark.gateway_only
def test_the_clients_own_retries_end_in_the_same_error(oai, backend):
    error = failure(
        oai.with_options(max_retries=1), backend, openai.InternalServerError, "[error:500]"
    )
    assert error.status_code == 500
    assert len(backend.fake.requests()) == 2
