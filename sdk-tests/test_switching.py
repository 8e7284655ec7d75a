"""Conversations that go on with another model: what one provider's answer left in the history must not trouble the next."""

import pytest

from samples import TIME, WEATHER

CLIENT = "openai"
pytestmark = pytest.mark.gateway_only

MODELS = ["gpt", "claude", "o-model", "claude-new"]
# A turn that leaves as much behind as a turn can.
LOADED = "[think] [preface] [tools2] Oslo?"


def walks() -> list[tuple[str, str, str]]:
    """Every model after every other, and back again."""
    return [(one, other, one) for one in MODELS for other in MODELS if one != other]


@pytest.mark.parametrize("streamed", [False, True])
@pytest.mark.parametrize("walk", walks(), ids="-".join)
def test_an_openai_client_changes_models(oai, walk, streamed):
    tools = [
        {"type": "function", "function": {"name": "get_weather", "parameters": WEATHER}},
        {"type": "function", "function": {"name": "get_time", "parameters": TIME}},
    ]
    messages = [{"role": "system", "content": "Terse."}]
    for model in walk:
        for said in (LOADED, None):
            if said:
                messages.append({"role": "user", "content": said})
            arguments = {"model": model, "messages": messages, "tools": tools}
            if model != "gpt":
                arguments["reasoning_effort"] = "low"
            message = streamed_message(oai, arguments) if streamed else whole(oai, arguments)
            messages.append(message)
            for call in message.get("tool_calls") or []:
                result = {"role": "tool", "tool_call_id": call["id"], "content": "4 C"}
                messages.append(result)
        assert "4 C" in message["content"]


def whole(oai, arguments) -> dict:
    return oai.chat.completions.create(**arguments).choices[0].message.to_dict()


def streamed_message(oai, arguments) -> dict:
    """Everything that the chunks held, extensions included, as careful programs keep it."""
    message = {"role": "assistant", "content": ""}
    calls: dict[int, dict] = {}
    for chunk in oai.chat.completions.create(**arguments, stream=True):
        if not chunk.choices:
            continue
        delta = chunk.choices[0].delta.to_dict()
        for name in ("content", "reasoning_content"):
            if delta.get(name):
                message[name] = message.get(name, "") + delta[name]
        if blocks := delta.get("thinking_blocks"):
            message["thinking_blocks"] = message.get("thinking_blocks", []) + blocks
        for part in delta.get("tool_calls") or []:
            call = calls.setdefault(
                part["index"],
                {
                    "id": part.get("id"),
                    "type": "function",
                    "function": {"name": part["function"].get("name"), "arguments": ""},
                },
            )
            call["function"]["arguments"] += part["function"].get("arguments") or ""
    if calls:
        message["tool_calls"] = list(calls.values())
    return message


def test_thoughts_come_back_to_the_model_that_had_them(oai, fakes):
    """What is held back from others is not lost: the same model gets its own thoughts, signed."""
    tools = [{"type": "function", "function": {"name": "get_weather", "parameters": WEATHER}}]
    arguments = {"model": "claude", "reasoning_effort": "low", "max_tokens": 4096, "tools": tools}
    messages = [{"role": "user", "content": "[tool] Oslo?"}]
    first = oai.chat.completions.create(**arguments, messages=messages).choices[0].message
    [call] = first.tool_calls
    messages += [first, {"role": "tool", "tool_call_id": call.id, "content": "4 C"}]
    oai.chat.completions.create(**arguments, messages=messages)
    sent = fakes["anthropic"].last().body
    thought, *_ = sent["messages"][1]["content"]
    assert thought["type"] == "thinking"
    assert not thought["signature"].startswith("zig1.")
    assert sent["thinking"]["type"] == "enabled"


@pytest.mark.parametrize("streamed", [False, True])
@pytest.mark.parametrize("walk", walks(), ids="-".join)
def test_an_anthropic_client_changes_models(ant, walk, streamed):
    tools = [
        {"name": "get_weather", "input_schema": WEATHER},
        {"name": "get_time", "input_schema": TIME},
    ]
    messages = []
    thinks = {"o-model", "claude-new"}
    for model in walk:
        for said in (LOADED, None):
            if said:
                messages.append({"role": "user", "content": said})
            arguments = {"model": model, "max_tokens": 4096, "messages": messages, "tools": tools}
            if model in thinks:
                arguments["thinking"] = {"type": "adaptive"}
            if len({"claude", "claude-new"} & set(walk)) == 2:
                # The vendor's own models refuse each other's signatures, and a call in the vendor's own dialect is the caller's:
                # so its clients leave thoughts out where they change models.
                arguments["messages"] = [without_thoughts(message) for message in messages]
            if streamed:
                with ant.messages.stream(**arguments) as stream:
                    message = stream.get_final_message()
            else:
                message = ant.messages.create(**arguments)
            messages.append({"role": "assistant", "content": message.content})
            results = [
                {"type": "tool_result", "tool_use_id": block.id, "content": "4 C"}
                for block in message.content
                if block.type == "tool_use"
            ]
            if results:
                messages.append({"role": "user", "content": results})
        assert "4 C" in message.content[-1].text


def without_thoughts(message: dict) -> dict:
    content = message["content"]
    if isinstance(content, list):
        kinds = ("thinking", "redacted_thinking")
        content = [block for block in content if getattr(block, "type", None) not in kinds]
    return {**message, "content": content}
