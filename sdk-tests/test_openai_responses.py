"""The OpenAI client's `responses`: answers, streams, tools, output of a shape, thinking, errors.

The providers behind the gateway speak other dialects: nothing here reaches one of Responses.
"""

import json
import time

import openai
import pytest

from samples import AWKWARD, PNG_BASE64, TIME, WEATHER, Person, check_arguments

# There is no fake provider of this dialect to talk to without the gateway.
CLIENT = "openai"
pytestmark = pytest.mark.gateway_only

TOOLS = [
    {
        "type": "function",
        "name": "get_weather",
        "description": "Weather",
        "parameters": WEATHER,
        "strict": False,
    },
    {
        "type": "function",
        "name": "get_time",
        "description": "Time",
        "parameters": TIME,
        "strict": False,
    },
]


def calls_of(response) -> list:
    return [item for item in response.output if item.type == "function_call"]


def test_an_answer_has_the_shape_that_the_client_knows(oai, backend):
    response = oai.responses.create(model=backend.model, input="Hello there", temperature=0.5)
    assert response.object == "response"
    assert response.id.startswith("resp_")
    assert response.created_at > 1_600_000_000
    assert response.status == "completed"
    assert response.output_text == "You said: Hello there"
    [item] = response.output
    assert item.type == "message" and item.role == "assistant" and item.status == "completed"
    assert response.temperature == 0.5
    assert response.store is True
    usage = response.usage
    assert usage.input_tokens > 0 and usage.output_tokens > 0
    assert usage.total_tokens == usage.input_tokens + usage.output_tokens
    assert usage.input_tokens_details.cached_tokens >= 0
    assert usage.output_tokens_details.reasoning_tokens >= 0


def test_awkward_text_survives_a_stream(oai, backend):
    with oai.responses.stream(model=backend.model, input=AWKWARD) as stream:
        text = "".join(e.delta for e in stream if e.type == "response.output_text.delta")
        response = stream.get_final_response()
    assert text == f"You said: {AWKWARD}"
    assert response.output_text == text


def test_every_item_of_a_stream_is_bracketed(oai, backend):
    events = list(oai.responses.create(model=backend.model, input="Hello", stream=True))
    assert [event.sequence_number for event in events] == list(range(len(events)))
    names = [event.type.removeprefix("response.") for event in events]
    assert names[:4] == ["created", "in_progress", "output_item.added", "content_part.added"]
    assert names[-4:] == [
        "output_text.done",
        "content_part.done",
        "output_item.done",
        "completed",
    ]
    assert set(names[4:-4]) == {"output_text.delta"}
    last = events[-1].response
    assert last.output_text == "You said: Hello"
    assert last.usage.total_tokens > 0


def test_instructions_and_turns_reach_the_model(oai, backend):
    first = oai.responses.create(model=backend.model, instructions="Be kind.", input="first")
    items = [{"role": "user", "content": "first"}, *first.output]
    items.append({"role": "user", "content": "second"})
    response = oai.responses.create(model=backend.model, instructions="Be kind.", input=items)
    assert response.output_text == "You said: second"
    sent = backend.sent()
    assert "Be kind." in json.dumps(sent)
    roles = [message["role"] for message in sent["messages"]]
    assert roles[-3:] == ["user", "assistant", "user"]


def test_a_limit_makes_an_answer_incomplete(oai, backend):
    response = oai.responses.create(
        model=backend.model, input="one two three " * 50, max_output_tokens=16
    )
    assert response.status == "incomplete"
    assert response.incomplete_details.reason == "max_output_tokens"


def test_a_tool_is_called_and_its_result_sent_back(oai, backend):
    items = [{"role": "user", "content": "[tool] Oslo?"}]
    response = oai.responses.create(model=backend.model, input=items, tools=TOOLS)
    [call] = calls_of(response)
    assert call.name == "get_weather"
    check_arguments(call.name, json.loads(call.arguments))
    items += response.output
    items.append({"type": "function_call_output", "call_id": call.call_id, "output": "4 C, rain"})
    response = oai.responses.create(model=backend.model, input=items, tools=TOOLS)
    assert response.status == "completed"
    assert "4 C, rain" in json.dumps(backend.sent())


def test_two_streamed_calls_keep_apart(oai, backend):
    events = list(
        oai.responses.create(
            model=backend.model, input="[tools2] [interleave] Oslo?", tools=TOOLS, stream=True
        )
    )
    put_together: dict[str, str] = {}
    for event in events:
        if event.type == "response.function_call_arguments.delta":
            put_together[event.item_id] = put_together.get(event.item_id, "") + event.delta
    calls = calls_of(events[-1].response)
    assert len(calls) == 2
    assert len({call.call_id for call in calls}) == 2
    for call in calls:
        assert put_together[call.id] == call.arguments
        check_arguments(call.name, json.loads(call.arguments))


def test_the_tool_that_is_forced_is_called(oai, backend):
    response = oai.responses.create(
        model=backend.model,
        input="[tool] Oslo?",
        tools=TOOLS,
        tool_choice={"type": "function", "name": "get_time"},
    )
    assert [call.name for call in calls_of(response)] == ["get_time"]


def test_an_answer_is_parsed_into_a_class(oai, backend):
    response = oai.responses.parse(model=backend.model, input="Who is it?", text_format=Person)
    assert isinstance(response.output_parsed, Person)


def test_a_picture_arrives_whole(oai, backend):
    content = [
        {"type": "input_text", "text": "What is it?"},
        {"type": "input_image", "image_url": f"data:image/png;base64,{PNG_BASE64}"},
    ]
    oai.responses.create(model=backend.model, input=[{"role": "user", "content": content}])
    assert PNG_BASE64 in json.dumps(backend.sent())


@pytest.mark.parametrize("backend", ["anthropic"], indirect=True)
def test_thoughts_go_back_to_the_model_that_had_them(oai, backend):
    items = [{"role": "user", "content": "[tool] Oslo?"}]
    response = oai.responses.create(
        model=backend.thinker, input=items, tools=TOOLS, reasoning={"effort": "high"}
    )
    [thought] = [item for item in response.output if item.type == "reasoning"]
    assert thought.encrypted_content.startswith("zig1.")
    items += response.output
    for call in calls_of(response):
        items.append({"type": "function_call_output", "call_id": call.call_id, "output": "x"})
    oai.responses.create(
        model=backend.thinker, input=items, tools=TOOLS, reasoning={"effort": "high"}
    )
    [turn] = [m for m in backend.sent()["messages"] if m["role"] == "assistant"]
    assert turn["content"][0]["type"] in ("thinking", "redacted_thinking")


def said_before(backend) -> list[str]:
    """What the provider was told, whatever its dialect, but for the instructions."""
    texts = []
    for message in backend.sent()["messages"]:
        content = message["content"]
        parts = [{"text": content}] if isinstance(content, str) else content
        texts += [part["text"] for part in parts if "text" in part]
    return texts


@pytest.mark.parametrize("stream", [False, True])
def test_a_conversation_goes_on_from_its_last_answer(oai, backend, stream):
    def ask(text, previous=None):
        asked = {"model": backend.model, "input": text, "previous_response_id": previous}
        if not stream:
            return oai.responses.create(**asked)
        with oai.responses.stream(**asked) as events:
            return events.get_final_response()

    first = ask("one")
    assert first.store is True
    second = ask("two", first.id)
    assert second.previous_response_id == first.id
    assert second.id != first.id
    ask("three", second.id)
    assert said_before(backend) == [
        "one", first.output_text, "two", second.output_text, "three",
    ]
    # The conversation can be taken up again where it was.
    ask("other", first.id)
    assert said_before(backend) == ["one", first.output_text, "other"]


def test_a_tool_is_called_and_answered_without_repeating_anything(oai, backend):
    asked = {"model": backend.model, "tools": TOOLS}
    first = oai.responses.create(input="[tool] city=Ur", **asked)
    [call] = calls_of(first)
    result = {"type": "function_call_output", "call_id": call.call_id, "output": "sunny in Ur"}
    second = oai.responses.create(input=[result], previous_response_id=first.id, **asked)
    assert "sunny in Ur" in second.output_text


def test_an_answer_is_found_again_listed_and_forgotten(oai, backend):
    first = oai.responses.create(model=backend.model, input="one")
    second = oai.responses.create(
        model=backend.model, input="two", previous_response_id=first.id
    )
    found = oai.responses.retrieve(second.id)
    assert found.output_text == second.output_text
    assert found.usage == second.usage
    items = list(oai.responses.input_items.list(second.id, order="asc", limit=2))
    assert [item.content[0].text for item in items] == ["one", first.output_text, "two"]
    assert all(item.id for item in items)
    latest = oai.responses.input_items.list(second.id, limit=1)
    assert latest.data[0].content[0].text == "two"
    assert latest.has_more
    with pytest.raises(openai.BadRequestError):
        oai.responses.cancel(second.id)
    oai.responses.delete(second.id)
    for ask in (oai.responses.retrieve, oai.responses.delete, oai.responses.cancel):
        with pytest.raises(openai.NotFoundError):
            ask(second.id)


def test_an_item_is_referred_to(oai, backend):
    first = oai.responses.create(model=backend.model, input="one")
    reference = {"type": "item_reference", "id": first.output[0].id}
    items = [{"role": "user", "content": "one"}, reference, {"role": "user", "content": "two"}]
    oai.responses.create(model=backend.model, input=items)
    assert said_before(backend) == ["one", first.output_text, "two"]


def test_what_is_not_kept_cannot_be_gone_on_from(oai, backend):
    first = oai.responses.create(model=backend.model, input="one", store=False)
    assert first.store is False
    with pytest.raises(openai.NotFoundError):
        oai.responses.retrieve(first.id)
    for unknown in (first.id, "resp_1"):
        with pytest.raises(openai.BadRequestError) as caught:
            oai.responses.create(model=backend.model, input="And?", previous_response_id=unknown)
        assert caught.value.param == "previous_response_id"


def test_an_answer_is_written_in_the_background(oai, backend):
    queued = oai.responses.create(model=backend.model, input="[slow:100] one", background=True)
    assert queued.status == "queued" and queued.background is True
    assert queued.output == []
    found = queued
    while found.status in {"queued", "in_progress"}:
        time.sleep(0.02)
        found = oai.responses.retrieve(queued.id)
    assert found.status == "completed" and found.id == queued.id
    assert "one" in found.output_text
    assert found.usage.total_tokens > 0
    oai.responses.create(model=backend.model, input="two", previous_response_id=queued.id)
    assert said_before(backend)[-2:] == [found.output_text, "two"]


def test_a_stream_in_the_background_is_taken_up_again(oai, backend):
    text = "[slow:10] one two three four five six"
    events = oai.responses.create(model=backend.model, input=text, background=True, stream=True)
    seen = []
    for event in events:
        seen.append(event)
        if event.type == "response.output_text.delta":
            break
    events.close()
    identity, last = seen[0].response.id, seen[-1].sequence_number
    rest = list(oai.responses.retrieve(identity, stream=True, starting_after=last))
    assert [event.sequence_number for event in rest] == list(
        range(last + 1, last + 1 + len(rest))
    )
    assert rest[-1].type == "response.completed"
    pieces = [e.delta for e in seen + rest if e.type == "response.output_text.delta"]
    assert "".join(pieces) == rest[-1].response.output_text
    assert oai.responses.retrieve(identity).output_text == "".join(pieces)


def test_an_answer_in_the_background_is_cancelled(oai, backend):
    queued = oai.responses.create(model=backend.model, input="[slow:60000] one", background=True)
    for _ in range(2):
        assert oai.responses.cancel(queued.id).status == "cancelled"
    assert oai.responses.retrieve(queued.id).status == "cancelled"


def test_a_request_that_is_wrong_names_the_member(oai, backend):
    with pytest.raises(openai.BadRequestError) as caught:
        oai.responses.create(model=backend.model, input=[{"role": "robot", "content": "x"}])
    assert caught.value.param == "input[0].role"


def test_a_model_that_nobody_has(oai):
    with pytest.raises(openai.NotFoundError):
        oai.responses.create(model="nobody", input="Hi")


def test_a_stream_that_is_cut_does_not_look_finished(oai, backend):
    kinds = []
    with pytest.raises(openai.APIError):
        for event in oai.responses.create(model=backend.model, input="[cut] Hello", stream=True):
            kinds.append(event.type)
            if event.type in ("response.failed", "error"):
                raise openai.APIError("told", request=None, body=None)
    assert "response.completed" not in kinds
