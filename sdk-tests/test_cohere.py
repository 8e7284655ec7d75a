"""The Cohere client: conversations, streams, tools, thinking, structured answers, lists, errors."""

import json

import cohere
import pytest
from cohere.core import ApiError

from harness import MASTER_KEY
from samples import AWKWARD, PNG_BASE64, TIME, WEATHER, check_arguments

CLIENT = "cohere"

TOOLS = [
    {
        "type": "function",
        "function": {"name": name, "description": name, "parameters": schema},
    }
    for name, schema in (("get_weather", WEATHER), ("get_time", TIME))
]

# Its own retries are off, or errors would come late.
ONCE = {"max_retries": 0, "timeout_in_seconds": 30}


@pytest.fixture
def coh(gateway):
    return cohere.ClientV2(api_key=MASTER_KEY, base_url=gateway.url)


def user(content):
    return {"role": "user", "content": content}


def ask(coh, backend, content, **more):
    return coh.chat(
        model=backend.model, messages=[user(content)], request_options=ONCE, **more
    )


def stream(coh, backend, content, **more):
    return coh.chat_stream(
        model=backend.model, messages=[user(content)], request_options=ONCE, **more
    )


def text(reply):
    return "".join(part.text for part in reply.message.content if part.type == "text")


# Conversations.


def test_an_answer_has_the_shape_that_the_client_knows(coh, backend):
    reply = ask(coh, backend, "Hello there")
    assert reply.id
    assert reply.finish_reason == "COMPLETE"
    assert reply.message.role == "assistant"
    assert text(reply) == "You said: Hello there"
    assert reply.usage.tokens.input_tokens > 0
    assert reply.usage.tokens.output_tokens > 0
    assert reply.usage.billed_units.input_tokens == reply.usage.tokens.input_tokens


def test_awkward_text_survives_both_ways(coh, backend):
    assert text(ask(coh, backend, AWKWARD)) == f"You said: {AWKWARD}"
    events = list(stream(coh, backend, AWKWARD))
    pieces = [e.delta.message.content.text for e in events if e.type == "content-delta"]
    assert len(pieces) > 1
    assert "".join(pieces) == f"You said: {AWKWARD}"


def test_a_stream_has_its_beginning_and_its_end(coh, backend):
    events = list(stream(coh, backend, "Hello"))
    kinds = [event.type for event in events]
    assert kinds[:2] == ["message-start", "content-start"]
    assert kinds[-2:] == ["content-end", "message-end"]
    assert events[0].id == events[-1].id
    assert events[-1].delta.finish_reason == "COMPLETE"
    assert events[-1].delta.usage.tokens.input_tokens > 0


def test_a_system_prompt_and_turns_reach_the_model(coh, backend):
    messages = [{"role": "system", "content": "You are terse."}, user("[system?]")]
    reply = coh.chat(model=backend.model, messages=messages, request_options=ONCE)
    assert text(reply) == "System: You are terse."
    messages += [reply.message, user("and now?")]
    reply = coh.chat(model=backend.model, messages=messages, request_options=ONCE)
    assert text(reply) == "You said: and now?"


def test_a_picture_reaches_the_model(coh, backend):
    url = f"data:image/png;base64,{PNG_BASE64}"
    content = [
        {"type": "text", "text": "What is it?"},
        {"type": "image_url", "image_url": {"url": url}},
    ]
    assert "image/png" in text(ask(coh, backend, content))
    assert PNG_BASE64 in json.dumps(backend.sent())


def test_documents_reach_the_model(coh, backend):
    documents = [{"id": "d1", "data": {"text": "It rains in Oslo."}}, "It snows in Bodø."]
    ask(coh, backend, "Weather?", documents=documents)
    sent = json.dumps(backend.sent(), ensure_ascii=False)
    assert "It rains in Oslo." in sent
    assert "It snows in Bodø." in sent


def test_parameters_reach_the_model(coh, backend):
    reply = ask(
        coh,
        backend,
        "one two three four five six seven",
        max_tokens=3,
        temperature=0.5,
        stop_sequences=["END"],
    )
    assert reply.finish_reason == "MAX_TOKENS"
    sent = backend.sent()
    assert sent["temperature"] == 0.5
    assert sent.get("stop") == ["END"] or sent.get("stop_sequences") == ["END"]


# Tools.


def test_a_tool_is_called_and_its_answer_comes_back(coh, backend):
    reply = ask(coh, backend, "[preface] [tool] Oslo?", tools=TOOLS)
    assert reply.finish_reason == "TOOL_CALL"
    assert reply.message.tool_plan == "Let me look."
    [call] = reply.message.tool_calls
    assert call.function.name == "get_weather"
    check_arguments("get_weather", json.loads(call.function.arguments))
    document = {"type": "document", "document": {"data": {"temp": "4 C"}}}
    result = {"role": "tool", "tool_call_id": call.id, "content": [document]}
    messages = [user("[tool] Oslo?"), reply.message, result]
    reply = coh.chat(
        model=backend.model, messages=messages, tools=TOOLS, request_options=ONCE
    )
    assert reply.finish_reason == "COMPLETE"
    assert "4 C" in json.dumps(backend.sent())


def test_two_streamed_calls_are_put_together(coh, backend):
    calls = {}
    for event in stream(coh, backend, "[tools2] [interleave] Oslo?", tools=TOOLS):
        if event.type == "tool-call-start":
            call = event.delta.message.tool_calls
            calls[event.index] = [call.id, call.function.name, call.function.arguments]
        elif event.type == "tool-call-delta":
            calls[event.index][2] += event.delta.message.tool_calls.function.arguments
        elif event.type == "message-end":
            assert event.delta.finish_reason == "TOOL_CALL"
    assert sorted(calls) == [0, 1]
    assert len({id for id, _, _ in calls.values()}) == 2
    assert sorted(name for _, name, _ in calls.values()) == ["get_time", "get_weather"]
    for _, name, arguments in calls.values():
        check_arguments(name, json.loads(arguments))


def test_a_tool_can_be_required(coh, backend):
    reply = ask(coh, backend, "Oslo?", tools=TOOLS[1:], tool_choice="REQUIRED")
    assert [call.function.name for call in reply.message.tool_calls] == ["get_time"]


# Thinking, structured answers.


def test_thoughts_come_apart_from_the_text(coh, backend):
    thinking = {"type": "enabled", "token_budget": 8192}
    reply = coh.chat(
        model=backend.thinker,
        messages=[user("Hello")],
        thinking=thinking,
        request_options=ONCE,
    )
    assert text(reply) == "You said: Hello"
    if backend.name == "openai":
        assert backend.sent()["reasoning_effort"] == "medium"
    else:
        assert [part.type for part in reply.message.content] == ["thinking", "text"]
    # The chat goes on with what it was told.
    again = coh.chat(
        model=backend.thinker,
        messages=[user("Hello"), reply.message, user("again")],
        thinking=thinking,
        request_options=ONCE,
    )
    assert text(again) == "You said: again"


def test_an_answer_is_bound_to_a_schema(coh, backend):
    form = {"type": "json_object", "json_schema": WEATHER}
    reply = ask(coh, backend, "Oslo", response_format=form)
    check_arguments("get_weather", json.loads(text(reply)))


# Lists, errors.


def test_models_are_listed_and_told(coh):
    names = {model.name for model in coh.models.list().models}
    assert {"gpt", "claude"} <= names
    assert coh.models.get("gpt").name == "gpt"
    with pytest.raises(cohere.NotFoundError):
        coh.models.get("no-such-model", request_options=ONCE)


def test_a_wrong_key_and_a_wrong_model_are_told_in_coheres_words(coh, gateway):
    stranger = cohere.ClientV2(api_key="sk-wrong", base_url=gateway.url)
    with pytest.raises(cohere.UnauthorizedError) as caught:
        stranger.chat(model="gpt", messages=[user("Hello")], request_options=ONCE)
    assert caught.value.body["message"]
    with pytest.raises(cohere.NotFoundError) as caught:
        coh.chat(model="no-such-model", messages=[user("Hello")], request_options=ONCE)
    assert "no-such-model" in caught.value.body["message"]


@pytest.mark.parametrize("status", [429, 500, 503])
def test_a_providers_error_is_told_in_coheres_words(coh, backend, status):
    with pytest.raises(ApiError) as caught:
        ask(coh, backend, f"[error:{status}]")
    assert caught.value.status_code == status
    assert caught.value.body["message"]


def test_a_stream_that_fails_half_way_says_so(coh, backend):
    events = list(stream(coh, backend, "[midstream-error] one two three"))
    assert "content-delta" in [event.type for event in events]
    assert events[-1].type == "message-end"
    assert events[-1].delta.finish_reason == "ERROR"
    assert events[-1].delta.error


def test_a_field_that_is_wrong_is_named(coh, backend):
    with pytest.raises(cohere.BadRequestError) as caught:
        ask(coh, backend, "Hello", tools=[{"type": "function"}])
    assert "tools.0.function" in caught.value.body["message"]
