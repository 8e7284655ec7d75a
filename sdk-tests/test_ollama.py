"""The Ollama client: conversations, streams, tools, thinking, structured answers, lists, errors."""

import base64
import json

import ollama
import pytest

from harness import MASTER_KEY
from samples import AWKWARD, PNG, TIME, WEATHER, check_arguments

CLIENT = "ollama"

TOOLS = [
    {
        "type": "function",
        "function": {"name": name, "description": name, "parameters": schema},
    }
    for name, schema in (("get_weather", WEATHER), ("get_time", TIME))
]


@pytest.fixture
def olm(gateway):
    return ollama.Client(host=gateway.url, headers={"Authorization": f"Bearer {MASTER_KEY}"})


def user(text, **more):
    return {"role": "user", "content": text, **more}


def ask(olm, backend, text, **more):
    return olm.chat(model=backend.model, messages=[user(text)], **more)


def stream(olm, backend, text, **more):
    return list(olm.chat(model=backend.model, messages=[user(text)], stream=True, **more))


# Conversations.


def test_an_answer_has_the_shape_that_the_client_knows(olm, backend):
    reply = ask(olm, backend, "Hello there")
    assert reply.message.role == "assistant"
    assert reply.message.content == "You said: Hello there"
    assert reply.done is True
    assert reply.done_reason == "stop"
    assert reply.model
    assert reply.created_at
    assert reply.prompt_eval_count > 0
    assert reply.eval_count > 0


def test_awkward_text_survives_both_ways(olm, backend):
    assert ask(olm, backend, AWKWARD).message.content == f"You said: {AWKWARD}"
    # The client takes a line separator for the end of a line.
    pieces = [chunk.message.content for chunk in stream(olm, backend, AWKWARD)]
    assert len(pieces) > 2
    assert "".join(pieces) == f"You said: {AWKWARD}"


def test_only_the_last_line_is_done_and_counts(olm, backend):
    chunks = stream(olm, backend, "Hello")
    assert [chunk.done for chunk in chunks[:-1]] == [False] * (len(chunks) - 1)
    last = chunks[-1]
    assert (last.done, last.done_reason, last.message.content) == (True, "stop", "")
    assert last.prompt_eval_count > 0
    assert last.eval_count > 0
    assert all(chunk.eval_count is None for chunk in chunks[:-1])


def test_an_answer_is_streamed_unless_its_caller_says_otherwise(gateway, backend):
    import httpx

    body = {"model": backend.model, "messages": [user("Hello")]}
    reply = httpx.post(
        gateway.url + "/api/chat",
        json=body,
        headers={"Authorization": f"Bearer {MASTER_KEY}"},
        timeout=30,
    )
    assert reply.headers["content-type"] == "application/x-ndjson"
    lines = [json.loads(line) for line in reply.text.strip().split("\n")]
    assert len(lines) > 1
    assert lines[-1]["done"] is True
    assert backend.sent()["stream"] is True


def test_a_system_prompt_and_turns_reach_the_model(olm, backend):
    messages = [{"role": "system", "content": "You are terse."}, user("[system?]")]
    reply = olm.chat(model=backend.model, messages=messages)
    assert reply.message.content == "System: You are terse."
    messages += [reply.message, user("and now?")]
    assert olm.chat(model=backend.model, messages=messages).message.content == "You said: and now?"


def test_a_picture_reaches_the_model(olm, backend):
    reply = olm.chat(model=backend.model, messages=[user("What is it?", images=[PNG])])
    assert "image/png" in reply.message.content
    assert base64.b64encode(PNG).decode() in json.dumps(backend.sent())


def test_options_reach_the_model(olm, backend):
    options = {"num_predict": 3, "temperature": 0.5, "stop": ["END"], "num_ctx": 4096}
    reply = ask(olm, backend, "one two three four five six seven", options=options)
    assert reply.done_reason == "length"
    sent = backend.sent()
    assert sent["temperature"] == 0.5
    assert sent.get("stop") == ["END"] or sent.get("stop_sequences") == ["END"]
    assert "num_ctx" not in json.dumps(sent)


# Tools.


def test_a_tool_is_called_and_its_answer_comes_back(olm, backend):
    reply = ask(olm, backend, "[tool] Oslo?", tools=TOOLS)
    [call] = reply.message.tool_calls
    assert call.function.name == "get_weather"
    check_arguments("get_weather", dict(call.function.arguments))
    # The client keeps no ids: the result finds its call all the same.
    result = {"role": "tool", "content": "4 C", "tool_name": "get_weather"}
    messages = [user("[tool] Oslo?"), reply.message, result]
    assert "4 C" in olm.chat(model=backend.model, messages=messages, tools=TOOLS).message.content


def test_two_streamed_calls_come_whole(olm, backend):
    chunks = stream(olm, backend, "[tools2] [interleave] Oslo?", tools=TOOLS)
    calls = [call for chunk in chunks for call in chunk.message.tool_calls or []]
    assert sorted(call.function.name for call in calls) == ["get_time", "get_weather"]
    for call in calls:
        check_arguments(call.function.name, dict(call.function.arguments))
    # Both results, matched by their order alone.
    said = {
        "role": "assistant",
        "content": "",
        "tool_calls": [call.model_dump() for call in calls],
    }
    results = [{"role": "tool", "content": text} for text in ("first", "second")]
    messages = [user("[tools2] Oslo?"), said, *results]
    reply = olm.chat(model=backend.model, messages=messages, tools=TOOLS)
    assert "first" in reply.message.content
    assert "second" in reply.message.content


def test_python_functions_are_tools(olm, backend):
    def get_weather(city: str, unit: str, days: int) -> str:
        """Weather.

        Args:
            city: where
            unit: celsius or fahrenheit
            days: how many
        """

    [call] = ask(olm, backend, "[tool] Oslo?", tools=[get_weather]).message.tool_calls
    assert set(call.function.arguments) == {"city", "unit", "days"}


# Thinking, structured answers.


def test_thoughts_come_apart_from_the_text(olm, backend):
    reply = olm.chat(model=backend.thinker, messages=[user("Hello")], think="high")
    assert reply.message.content == "You said: Hello"
    if backend.name == "openai":
        assert backend.sent()["reasoning_effort"] == "high"
    else:
        assert reply.message.thinking
        chunks = olm.chat(
            model=backend.thinker, messages=[user("Hello")], think="high", stream=True
        )
        assert "".join(chunk.message.thinking or "" for chunk in chunks)
    # The chat goes on with what it was told.
    messages = [user("Hello"), reply.message, user("again")]
    again = olm.chat(model=backend.thinker, messages=messages, think="high")
    assert again.message.content == "You said: again"


def test_an_answer_is_bound_to_a_schema(olm, backend):
    reply = ask(olm, backend, "Oslo", format=WEATHER)
    check_arguments("get_weather", json.loads(reply.message.content))


# Lists, errors.


def test_models_are_listed_and_shown(olm):
    names = {model.model for model in olm.list().models}
    assert {"gpt", "claude"} <= names
    assert olm.show("gpt").details is not None
    with pytest.raises(ollama.ResponseError) as caught:
        olm.show("no-such-model")
    assert caught.value.status_code == 404


def test_a_wrong_key_and_a_wrong_model_are_told_in_ollamas_words(olm, gateway):
    stranger = ollama.Client(host=gateway.url, headers={"Authorization": "Bearer sk-wrong"})
    with pytest.raises(ollama.ResponseError) as caught:
        stranger.chat(model="gpt", messages=[user("Hello")])
    assert caught.value.status_code == 401
    with pytest.raises(ollama.ResponseError) as caught:
        olm.chat(model="no-such-model", messages=[user("Hello")])
    assert caught.value.status_code == 404
    assert "no-such-model" in caught.value.error


@pytest.mark.parametrize("status", [429, 500, 503])
def test_a_providers_error_is_told_in_ollamas_words(olm, backend, status):
    with pytest.raises(ollama.ResponseError) as caught:
        ask(olm, backend, f"[error:{status}]")
    assert caught.value.status_code == status
    assert caught.value.error


def test_a_stream_that_fails_half_way_is_an_error(olm, backend):
    said = []
    with pytest.raises(ollama.ResponseError):
        for chunk in olm.chat(
            model=backend.model,
            messages=[user("[midstream-error] one two three")],
            stream=True,
        ):
            assert not chunk.done
            said.append(chunk.message.content)
    assert said


def test_a_field_that_is_wrong_is_named(olm, backend):
    with pytest.raises(ollama.ResponseError) as caught:
        ask(olm, backend, "Hello", options={"seed": "seven"})
    assert caught.value.status_code == 400
    assert "options.seed" in caught.value.error
