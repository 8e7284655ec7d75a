"""The Gemini client: conversations, streams, tools, thinking, structured answers, errors."""

import base64
import json

import pytest
from google.genai import errors, types

from samples import AWKWARD, PNG, TIME, WEATHER, check_arguments

CLIENT = "gemini"

TOOLS = [
    types.Tool(
        function_declarations=[
            {"name": "get_weather", "description": "Weather", "parameters_json_schema": WEATHER},
            {"name": "get_time", "description": "Time", "parameters_json_schema": TIME},
        ]
    )
]


def ask(gem, backend, contents, **config):
    return gem.models.generate_content(
        model=backend.model, contents=contents, config=types.GenerateContentConfig(**config)
    )


def stream(gem, backend, contents, **config):
    return gem.models.generate_content_stream(
        model=backend.model, contents=contents, config=types.GenerateContentConfig(**config)
    )


# Conversations.


def test_an_answer_has_the_shape_that_the_client_knows(gem, backend):
    reply = ask(gem, backend, "Hello there")
    assert reply.text == "You said: Hello there"
    [candidate] = reply.candidates
    assert candidate.content.role == "model"
    assert candidate.finish_reason == types.FinishReason.STOP
    assert reply.model_version
    assert reply.response_id
    usage = reply.usage_metadata
    assert usage.prompt_token_count > 0
    assert usage.total_token_count == usage.prompt_token_count + usage.candidates_token_count


def test_awkward_text_survives_both_ways(gem, backend):
    assert ask(gem, backend, AWKWARD).text == f"You said: {AWKWARD}"
    pieces = [chunk.text for chunk in stream(gem, backend, AWKWARD)]
    assert len(pieces) > 1
    # Every chunk has a text, the last one included: callers print them as they come.
    assert None not in pieces
    assert "".join(pieces) == f"You said: {AWKWARD}"


def test_a_chat_keeps_its_turns(gem, backend):
    chat = gem.chats.create(model=backend.model)
    assert chat.send_message("first").text == "You said: first"
    assert "".join(chunk.text for chunk in chat.send_message_stream("second")) == "You said: second"
    assert chat.send_message("third").text == "You said: third"
    if backend.name == "gemini":
        turns = [content["role"] for content in backend.sent()["contents"]]
        assert turns == ["user", "model"] * 2 + ["user"]
    else:
        turns = [message["role"] for message in backend.sent()["messages"]]
        assert turns == ["user", "assistant"] * 2 + ["user"]


def test_a_system_prompt_reaches_the_model(gem, backend):
    reply = ask(gem, backend, "[system?]", system_instruction="You are terse.")
    assert reply.text == "System: You are terse."


def test_a_picture_reaches_the_model(gem, backend):
    picture = types.Part.from_bytes(data=PNG, mime_type="image/png")
    reply = ask(gem, backend, [picture, "What is it?"])
    assert "image/png" in reply.text
    sent = json.dumps(backend.sent())
    assert base64.b64encode(PNG).decode() in sent


def test_a_limit_cuts_the_answer(gem, backend):
    reply = ask(gem, backend, "one two three four five six seven", max_output_tokens=3)
    assert reply.candidates[0].finish_reason == types.FinishReason.MAX_TOKENS


def test_the_last_chunk_says_why_it_ended_and_what_it_took(gem, backend):
    chunks = list(stream(gem, backend, "Hello"))
    reasons = [chunk.candidates[0].finish_reason for chunk in chunks]
    assert reasons[-1] == types.FinishReason.STOP
    assert set(reasons[:-1]) <= {None}
    assert chunks[-1].usage_metadata.total_token_count > 0


# Tools.


def check_calls(calls, names):
    assert [call.name for call in calls] == names
    assert len({call.id for call in calls}) == len(calls)
    for call in calls:
        check_arguments(call.name, call.args)


def test_a_tool_is_called_and_its_answer_comes_back(gem, backend):
    reply = ask(gem, backend, "[tool] Oslo?", tools=TOOLS)
    check_calls(reply.function_calls, ["get_weather"])
    assert reply.candidates[0].finish_reason == types.FinishReason.STOP
    [call] = reply.function_calls
    answer = types.Part(
        function_response=types.FunctionResponse(
            id=call.id, name=call.name, response={"output": "4 C"}
        )
    )
    contents = [
        types.UserContent("[tool] Oslo?"),
        reply.candidates[0].content,
        types.UserContent([answer]),
    ]
    assert "4 C" in ask(gem, backend, contents, tools=TOOLS).text


def test_two_streamed_calls_come_whole(gem, backend):
    chunks = list(stream(gem, backend, "[tools2] [interleave] Oslo?", tools=TOOLS))
    calls = [call for chunk in chunks for call in chunk.function_calls or []]
    assert len(calls) == 2
    check_calls(calls, [call.name for call in calls])


def test_a_tool_can_be_forced(gem, backend):
    forced = types.ToolConfig(
        function_calling_config=types.FunctionCallingConfig(
            mode="ANY", allowed_function_names=["get_time"]
        )
    )
    reply = ask(gem, backend, "[tool] Oslo?", tools=TOOLS, tool_config=forced)
    check_calls(reply.function_calls, ["get_time"])


def test_python_functions_are_called_by_the_client_itself(gem, backend):
    asked = []

    def get_weather(city: str, unit: str, days: int) -> str:
        """Weather."""
        asked.append(city)
        return "4 C"

    reply = ask(gem, backend, "[tool] Oslo?", tools=[get_weather])
    assert len(asked) == 1
    assert "4 C" in reply.text


# Thinking, structured answers.


def test_thoughts_come_apart_from_the_text(gem, backend):
    thinking = types.ThinkingConfig(include_thoughts=True, thinking_level="HIGH")
    config = types.GenerateContentConfig(thinking_config=thinking)
    reply = gem.models.generate_content(model=backend.thinker, contents="Hello", config=config)
    assert reply.text == "You said: Hello"
    if backend.name == "openai":
        assert backend.sent()["reasoning_effort"] == "high"
    else:
        thoughts = [part for part in reply.candidates[0].content.parts if part.thought]
        assert thoughts and thoughts[0].text
        # It is bytes to the client, and comes back as it went.
        assert thoughts[-1].thought_signature
    # The chat goes on with what it was told.
    contents = [
        types.UserContent("Hello"),
        reply.candidates[0].content,
        types.UserContent("again"),
    ]
    again = gem.models.generate_content(model=backend.thinker, contents=contents, config=config)
    assert again.text == "You said: again"


def test_an_answer_is_bound_to_a_schema(gem, backend):
    reply = ask(
        gem,
        backend,
        "Oslo",
        response_mime_type="application/json",
        response_json_schema=WEATHER,
    )
    check_arguments("get_weather", json.loads(reply.text))


# Counting, listing, errors.


@pytest.mark.gateway_only
def test_models_are_listed_and_told(gem):
    names = [model.name for model in gem.models.list()]
    assert "models/gpt" in names
    assert "models/claude" in names
    assert gem.models.get(model="gpt").name == "models/gpt"
    with pytest.raises(errors.ClientError) as caught:
        gem.models.get(model="no-such-model")
    assert caught.value.code == 404
    assert caught.value.status == "NOT_FOUND"


def test_tokens_are_counted(gem, backend):
    if backend.name == "openai":
        pytest.skip("this provider counts no tokens of a conversation")
    count = gem.models.count_tokens(model=backend.model, contents="Hello there")
    assert count.total_tokens > 0


@pytest.mark.gateway_only
def test_a_wrong_key_and_a_wrong_model_are_told_in_googles_words(gem, gateway):
    from google import genai

    options = types.HttpOptions(base_url=gateway.url)
    with genai.Client(api_key="sk-wrong", http_options=options) as stranger:
        with pytest.raises(errors.ClientError) as caught:
            stranger.models.generate_content(model="gpt", contents="Hello")
        assert (caught.value.code, caught.value.status) == (401, "UNAUTHENTICATED")
    with pytest.raises(errors.ClientError) as caught:
        gem.models.generate_content(model="no-such-model", contents="Hello")
    assert (caught.value.code, caught.value.status) == (404, "NOT_FOUND")


@pytest.mark.parametrize(
    ("status", "word"),
    [(429, "RESOURCE_EXHAUSTED"), (503, "UNAVAILABLE"), (500, "INTERNAL")],
)
def test_a_providers_error_is_told_in_googles_words(gem, backend, status, word):
    with pytest.raises(errors.APIError) as caught:
        ask(gem, backend, f"[error:{status}]")
    assert (caught.value.code, caught.value.status) == (status, word)


def test_a_stream_that_fails_half_way_is_an_error(gem, backend):
    with pytest.raises(errors.APIError):
        for chunk in stream(gem, backend, "[midstream-error] one two three"):
            assert chunk.candidates[0].finish_reason is None


@pytest.mark.gateway_only
def test_a_field_that_a_model_has_no_room_for_is_named(gem, backend):
    if backend.name != "anthropic":
        pytest.skip("the others give several answers")
    with pytest.raises(errors.ClientError) as caught:
        ask(gem, backend, "Hello", candidate_count=2)
    assert "generationConfig.candidateCount" in caught.value.message
