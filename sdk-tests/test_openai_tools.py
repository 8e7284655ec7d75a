"""The OpenAI client: tools, whole and streamed, alone and in parallel, and their results."""

import json

from samples import TIME, WEATHER, check_arguments

CLIENT = "openai"

TOOLS = [
    {
        "type": "function",
        "function": {"name": "get_weather", "description": "Weather", "parameters": WEATHER},
    },
    {
        "type": "function",
        "function": {"name": "get_time", "description": "Time", "parameters": TIME},
    },
]


def say(text: str) -> list[dict]:
    return [{"role": "user", "content": text}]


def check_calls(calls, names: list[str]) -> None:
    assert [call.function.name for call in calls] == names
    assert len({call.id for call in calls}) == len(calls)
    for call in calls:
        assert call.type == "function"
        assert call.id and len(call.id) <= 40
        check_arguments(call.function.name, json.loads(call.function.arguments))


def gather(stream) -> tuple[dict, str]:
    """Tool calls by index, put together the way the vendor's documentation says."""
    calls: dict[int, dict] = {}
    reason = None
    for chunk in stream:
        if not chunk.choices:
            continue
        [choice] = chunk.choices
        for part in choice.delta.tool_calls or []:
            if part.index not in calls:
                # The first fragment of a call names it, later ones do not.
                assert part.id and part.function.name
                calls[part.index] = {"id": part.id, "name": part.function.name, "arguments": ""}
            else:
                assert not part.function.name
            calls[part.index]["arguments"] += part.function.arguments or ""
        reason = choice.finish_reason or reason
    return calls, reason


def test_a_tool_is_called(oai, backend):
    reply = oai.chat.completions.create(
        model=backend.model, messages=say("[tool] Oslo?"), tools=TOOLS
    )
    [choice] = reply.choices
    assert choice.finish_reason == "tool_calls"
    check_calls(choice.message.tool_calls, ["get_weather"])


def test_the_tool_that_is_forced_is_called(oai, backend):
    reply = oai.chat.completions.create(
        model=backend.model,
        messages=say("[tool] Oslo?"),
        tools=TOOLS,
        tool_choice={"type": "function", "function": {"name": "get_time"}},
    )
    check_calls(reply.choices[0].message.tool_calls, ["get_time"])


def test_two_tools_are_called_at_once(oai, backend):
    reply = oai.chat.completions.create(
        model=backend.model, messages=say("[tools2] Oslo?"), tools=TOOLS
    )
    [choice] = reply.choices
    assert choice.finish_reason == "tool_calls"
    assert len(choice.message.tool_calls) == 2
    check_calls(choice.message.tool_calls, [c.function.name for c in choice.message.tool_calls])


def test_a_streamed_tool_call_can_be_put_together(oai, backend):
    stream = oai.chat.completions.create(
        model=backend.model, messages=say("[tool] Oslo?"), tools=TOOLS, stream=True
    )
    calls, reason = gather(stream)
    assert reason == "tool_calls"
    assert list(calls) == [0]
    assert calls[0]["name"] == "get_weather"
    check_arguments("get_weather", json.loads(calls[0]["arguments"]))


def test_two_streamed_tool_calls_keep_apart(oai, backend):
    stream = oai.chat.completions.create(
        model=backend.model, messages=say("[tools2] [interleave] Oslo?"), tools=TOOLS, stream=True
    )
    calls, reason = gather(stream)
    assert reason == "tool_calls"
    assert sorted(calls) == [0, 1]
    assert calls[0]["id"] != calls[1]["id"]
    for call in calls.values():
        check_arguments(call["name"], json.loads(call["arguments"]))


def test_the_stream_helper_sees_the_same_calls(oai, backend):
    with oai.chat.completions.stream(
        model=backend.model, messages=say("[tools2] Oslo?"), tools=TOOLS
    ) as stream:
        done = [e.name for e in stream if e.type == "tool_calls.function.arguments.done"]
        final = stream.get_final_completion()
    calls = final.choices[0].message.tool_calls
    assert done == [call.function.name for call in calls]
    check_calls(calls, done)


def answer(call, text: str) -> dict:
    return {"role": "tool", "tool_call_id": call.id, "content": text}


def test_a_tool_result_comes_back_to_the_model(oai, backend):
    messages = say("[tool] Oslo?")
    first = oai.chat.completions.create(model=backend.model, messages=messages, tools=TOOLS)
    message = first.choices[0].message
    # The message goes back as the client gave it, every member that it knows included.
    messages += [message, answer(message.tool_calls[0], "4 C and rain")]
    second = oai.chat.completions.create(model=backend.model, messages=messages, tools=TOOLS)
    assert second.choices[0].message.content == "The tool said: 4 C and rain"
    assert second.choices[0].finish_reason == "stop"


def test_two_tool_results_come_back_in_one_turn(oai, backend):
    messages = say("[tools2] Oslo?")
    first = oai.chat.completions.create(model=backend.model, messages=messages, tools=TOOLS)
    message = first.choices[0].message
    one, two = message.tool_calls
    messages += [message, answer(one, "4 C"), answer(two, "noon")]
    second = oai.chat.completions.create(model=backend.model, messages=messages, tools=TOOLS)
    text = second.choices[0].message.content
    assert "4 C" in text and "noon" in text

    sent = backend.sent()["messages"]
    if backend.name == "anthropic":
        # All results of one turn belong into one user message, in the order of the calls.
        results = sent[-1]["content"]
        assert sent[-1]["role"] == "user"
        assert [block["type"] for block in results] == ["tool_result", "tool_result"]
        calls = [b["id"] for b in sent[-2]["content"] if b["type"] == "tool_use"]
        assert [block["tool_use_id"] for block in results] == calls
    else:
        assert [m["role"] for m in sent] == ["user", "assistant", "tool", "tool"]


def test_a_streamed_call_can_be_answered_too(oai, backend):
    messages = say("[tool] Oslo?")
    stream = oai.chat.completions.create(
        model=backend.model, messages=messages, tools=TOOLS, stream=True
    )
    calls, _ = gather(stream)
    call = calls[0]
    function = {"name": call["name"], "arguments": call["arguments"]}
    messages += [
        {
            "role": "assistant",
            "content": None,
            "tool_calls": [{"id": call["id"], "type": "function", "function": function}],
        },
        {"role": "tool", "tool_call_id": call["id"], "content": "sunny"},
    ]
    reply = oai.chat.completions.create(
        model=backend.model, messages=messages, tools=TOOLS, stream=True
    )
    text = "".join(c.choices[0].delta.content or "" for c in reply if c.choices)
    assert text == "The tool said: sunny"


def test_a_tool_without_parameters_works(oai, backend):
    tools = [{"type": "function", "function": {"name": "ping"}}]
    reply = oai.chat.completions.create(
        model=backend.model, messages=say("[tool] ping"), tools=tools
    )
    [call] = reply.choices[0].message.tool_calls
    assert call.function.name == "ping"
    assert json.loads(call.function.arguments or "{}") == {}
