"""The Anthropic client: tools, whole and streamed, alone and in parallel, and their results."""

import json

from samples import PNG, PNG_BASE64, TIME, WEATHER, check_arguments

CLIENT = "anthropic"

LIMIT = 1024

TOOLS = [
    {"name": "get_weather", "description": "Weather", "input_schema": WEATHER},
    {"name": "get_time", "description": "Time", "input_schema": TIME},
]


def say(text: str) -> list[dict]:
    return [{"role": "user", "content": text}]


def ask(ant, backend, messages: list, **more):
    return ant.messages.create(
        model=backend.model, max_tokens=LIMIT, messages=messages, tools=TOOLS, **more
    )


def calls_of(message) -> list:
    return [block for block in message.content if block.type == "tool_use"]


def check_calls(calls, names: list[str]) -> None:
    assert [call.name for call in calls] == names
    assert len({call.id for call in calls}) == len(calls)
    for call in calls:
        check_arguments(call.name, call.input)


def result(call, content, **more) -> dict:
    return {"type": "tool_result", "tool_use_id": call.id, "content": content, **more}


def test_a_tool_is_called(ant, backend):
    reply = ask(ant, backend, say("[tool] Oslo?"))
    assert reply.stop_reason == "tool_use"
    check_calls(calls_of(reply), ["get_weather"])


def test_the_tool_that_is_forced_is_called(ant, backend):
    choice = {"type": "tool", "name": "get_time"}
    reply = ask(ant, backend, say("[tool] Oslo?"), tool_choice=choice)
    check_calls(calls_of(reply), ["get_time"])


def test_any_tool_can_be_asked_for(ant, backend):
    reply = ask(ant, backend, say("[tool] Oslo?"), tool_choice={"type": "any"})
    assert len(calls_of(reply)) == 1
    choice = backend.sent()["tool_choice"]
    assert choice == ({"type": "any"} if backend.name == "anthropic" else "required")


def test_two_tools_are_called_at_once(ant, backend):
    reply = ask(ant, backend, say("[tools2] Oslo?"))
    assert reply.stop_reason == "tool_use"
    calls = calls_of(reply)
    assert len(calls) == 2
    check_calls(calls, [call.name for call in calls])


def test_a_streamed_tool_call_comes_as_fragments_of_json(ant, backend):
    stream = ask(ant, backend, say("[tool] Oslo?"), stream=True)
    events = list(stream)
    starts = [
        e.content_block
        for e in events
        if e.type == "content_block_start" and e.content_block.type == "tool_use"
    ]
    assert [start.name for start in starts] == ["get_weather"]
    assert starts[0].input == {}
    fragments = [
        e.delta.partial_json
        for e in events
        if e.type == "content_block_delta" and e.delta.type == "input_json_delta"
    ]
    check_arguments("get_weather", json.loads("".join(fragments)))
    assert [e.delta.stop_reason for e in events if e.type == "message_delta"] == ["tool_use"]


def test_two_streamed_tool_calls_come_one_after_the_other(ant, backend):
    stream = ask(ant, backend, say("[tools2] [interleave] Oslo?"), stream=True)
    indexed = [(e.type, e.index) for e in stream if e.type.startswith("content_block")]
    # This dialect never interleaves blocks, whatever the provider did.
    open_block = None
    seen = []
    for kind, index in indexed:
        if kind == "content_block_start":
            assert open_block is None
            open_block = index
            seen.append(index)
        elif kind == "content_block_stop":
            assert open_block == index
            open_block = None
        else:
            assert open_block == index
    assert open_block is None
    assert seen == list(range(len(seen)))


def test_the_stream_helper_builds_the_same_calls(ant, backend):
    with ant.messages.stream(
        model=backend.model, max_tokens=LIMIT, messages=say("[tools2] Oslo?"), tools=TOOLS
    ) as stream:
        final = stream.get_final_message()
    calls = calls_of(final)
    assert len(calls) == 2
    check_calls(calls, [call.name for call in calls])
    assert final.stop_reason == "tool_use"


def test_a_tool_result_comes_back_to_the_model(ant, backend):
    messages = say("[tool] Oslo?")
    first = ask(ant, backend, messages)
    [call] = calls_of(first)
    messages += [
        {"role": "assistant", "content": first.content},
        {"role": "user", "content": [result(call, "4 C and rain")]},
    ]
    second = ask(ant, backend, messages)
    assert second.content[0].text == "The tool said: 4 C and rain"
    assert second.stop_reason == "end_turn"


def test_two_tool_results_come_back_in_one_turn(ant, backend):
    messages = say("[tools2] Oslo?")
    first = ask(ant, backend, messages)
    one, two = calls_of(first)
    messages += [
        {"role": "assistant", "content": first.content},
        {
            "role": "user",
            "content": [result(one, "4 C"), result(two, [{"type": "text", "text": "noon"}])],
        },
    ]
    second = ask(ant, backend, messages)
    text = second.content[0].text
    assert "4 C" in text and "noon" in text
    if backend.name == "openai":
        # One message per result, each with the id of its call, directly after the calls.
        sent = backend.sent()["messages"]
        assert [m["role"] for m in sent] == ["user", "assistant", "tool", "tool"]
        calls = [call["id"] for call in sent[1]["tool_calls"]]
        assert [m["tool_call_id"] for m in sent[2:]] == calls


def test_a_tool_that_failed_says_so(ant, backend):
    messages = say("[tool] Oslo?")
    first = ask(ant, backend, messages)
    [call] = calls_of(first)
    messages += [
        {"role": "assistant", "content": first.content},
        {"role": "user", "content": [result(call, "timed out", is_error=True)]},
    ]
    second = ask(ant, backend, messages)
    assert "timed out" in second.content[0].text
    last = backend.sent()["messages"][-1]
    if backend.name == "anthropic":
        assert last["content"][0]["is_error"] is True
    else:
        # That dialect has no member for it.
        assert last["content"] == "Error: timed out"


def test_a_picture_in_a_result_is_not_lost(ant, backend):
    source = {"type": "base64", "media_type": "image/png", "data": PNG_BASE64}
    content = [{"type": "text", "text": "a map"}, {"type": "image", "source": source}]
    messages = say("[tool] Oslo?")
    first = ask(ant, backend, messages)
    [call] = calls_of(first)
    messages += [
        {"role": "assistant", "content": first.content},
        {"role": "user", "content": [result(call, content)]},
    ]
    ask(ant, backend, messages)
    assert PNG_BASE64 in json.dumps(backend.sent())
    assert len(PNG) == 67
