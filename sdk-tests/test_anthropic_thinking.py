"""The Anthropic client: thinking, its signatures, and conversations that carry them."""

import warnings

import pytest

from samples import WEATHER

CLIENT = "anthropic"

LIMIT = 4096
ENABLED = {"type": "enabled", "budget_tokens": 2048}
TOOLS = [{"name": "get_weather", "description": "Weather", "input_schema": WEATHER}]


def say(text: str) -> list[dict]:
    return [{"role": "user", "content": text}]


def ask(ant, model: str, messages: list, **more):
    with warnings.catch_warnings():
        # The client advises newer models; the older way is what is tested here.
        warnings.simplefilter("ignore", UserWarning)
        return ant.messages.create(model=model, max_tokens=LIMIT, messages=messages, **more)


@pytest.mark.parametrize("backend", ["anthropic"], indirect=True)
def test_thoughts_come_first_and_are_signed(ant, backend):
    reply = ask(ant, backend.model, say("Hello"), thinking=ENABLED)
    assert [block.type for block in reply.content] == ["thinking", "text"]
    assert reply.content[0].thinking
    assert reply.content[0].signature
    assert reply.content[1].text == "You said: Hello"


@pytest.mark.parametrize("backend", ["anthropic"], indirect=True)
def test_streamed_thoughts_are_signed_before_their_block_ends(ant, backend):
    stream = ask(ant, backend.model, say("Hello"), thinking=ENABLED, stream=True)
    deltas = []
    for event in stream:
        if event.type == "content_block_delta":
            deltas.append((event.index, event.delta.type))
    first = [kind for index, kind in deltas if index == 0]
    assert set(first[:-1]) == {"thinking_delta"}
    assert first[-1] == "signature_delta"
    assert {kind for index, kind in deltas if index == 1} == {"text_delta"}


@pytest.mark.parametrize("backend", ["anthropic"], indirect=True)
def test_signed_thoughts_go_back_unchanged(ant, backend):
    messages = say("Hello")
    first = ask(ant, backend.model, messages, thinking=ENABLED)
    messages += [{"role": "assistant", "content": first.content}, *say("more")]
    second = ask(ant, backend.model, messages, thinking=ENABLED)
    assert second.content[-1].text == "You said: more"
    block = backend.sent()["messages"][1]["content"][0]
    assert block["type"] == "thinking"
    assert block["thinking"] == first.content[0].thinking
    assert block["signature"] == first.content[0].signature


@pytest.mark.parametrize("streamed", [False, True], ids=["whole", "streamed"])
@pytest.mark.parametrize("backend", ["anthropic"], indirect=True)
def test_thoughts_stay_with_the_tool_call_that_they_led_to(ant, backend, streamed):
    messages = say("[tool] Oslo?")
    if streamed:
        with ant.messages.stream(
            model=backend.thinker,
            max_tokens=LIMIT,
            messages=messages,
            tools=TOOLS,
            thinking={"type": "adaptive"},
        ) as stream:
            first = stream.get_final_message()
    else:
        first = ask(ant, backend.thinker, messages, thinking={"type": "adaptive"}, tools=TOOLS)
    kinds = [block.type for block in first.content]
    assert kinds[0] == "thinking" and kinds[-1] == "tool_use"
    # A dump, as a program stores it, is as good as the objects.
    content = [block.model_dump(exclude_none=True) for block in first.content]
    call = first.content[-1]
    messages += [
        {"role": "assistant", "content": content},
        {
            "role": "user",
            "content": [{"type": "tool_result", "tool_use_id": call.id, "content": "4 C"}],
        },
    ]
    second = ask(ant, backend.thinker, messages, thinking={"type": "adaptive"}, tools=TOOLS)
    assert second.content[-1].text == "The tool said: 4 C"


def test_effort_reaches_a_model_that_thinks(ant, backend):
    reply = ask(
        ant,
        backend.thinker,
        say("Hello"),
        thinking={"type": "adaptive"},
        output_config={"effort": "high"},
    )
    assert reply.content[-1].text == "You said: Hello"
    sent = backend.sent()
    if backend.name == "anthropic":
        assert sent["thinking"]["type"] == "adaptive"
        assert sent["output_config"]["effort"] == "high"
    else:
        assert sent["reasoning_effort"] == "high"
        assert "thinking" not in sent


@pytest.mark.gateway_only
@pytest.mark.parametrize("backend", ["openai"], indirect=True)
def test_a_budget_becomes_an_effort_where_the_model_wants_one(ant, backend):
    ask(ant, backend.thinker, say("Hello"), thinking=ENABLED)
    assert backend.sent()["reasoning_effort"] == "medium"


@pytest.mark.gateway_only
@pytest.mark.parametrize("backend", ["openai"], indirect=True)
def test_thoughts_of_one_provider_do_not_reach_another(ant, backend):
    messages = say("Hello")
    first = ask(ant, "claude", messages, thinking=ENABLED)
    assert first.content[0].type == "thinking"
    messages += [{"role": "assistant", "content": first.content}, *say("more")]
    second = ask(ant, backend.model, messages)
    assert second.content[-1].text == "You said: more"
    assert first.content[0].signature not in repr(backend.sent())


def test_a_conversation_without_thoughts_goes_on_with_them(ant, backend):
    messages = [*say("Hello"), {"role": "assistant", "content": "You said: Hello"}, *say("more")]
    reply = ask(ant, backend.thinker, messages, thinking={"type": "adaptive"})
    assert reply.content[-1].text == "You said: more"
