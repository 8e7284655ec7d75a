"""The OpenAI client: conversations, streams, limits, usage."""

import openai
import pytest

from samples import AWKWARD

CLIENT = "openai"


def say(text: str) -> list[dict]:
    return [{"role": "user", "content": text}]


def test_an_answer_has_the_shape_that_the_client_knows(oai, backend):
    reply = oai.chat.completions.create(model=backend.model, messages=say("Hello there"))
    assert reply.object == "chat.completion"
    assert reply.id
    assert reply.created > 1_600_000_000
    [choice] = reply.choices
    assert choice.index == 0
    assert choice.finish_reason == "stop"
    assert choice.message.role == "assistant"
    assert choice.message.content == "You said: Hello there"
    assert not choice.message.tool_calls
    assert reply.usage.prompt_tokens > 0
    assert reply.usage.completion_tokens > 0
    assert reply.usage.total_tokens == reply.usage.prompt_tokens + reply.usage.completion_tokens


def test_awkward_text_survives_both_ways(oai, backend):
    reply = oai.chat.completions.create(model=backend.model, messages=say(AWKWARD))
    assert reply.choices[0].message.content == f"You said: {AWKWARD}"


def test_awkward_text_survives_a_stream(oai, backend):
    stream = oai.chat.completions.create(model=backend.model, messages=say(AWKWARD), stream=True)
    text = "".join(c.choices[0].delta.content or "" for c in stream if c.choices)
    assert text == f"You said: {AWKWARD}"


def test_a_long_prompt_survives(oai, backend):
    text = "All work and no play. " * 4_000
    reply = oai.chat.completions.create(model=backend.model, messages=say(text.strip()))
    assert reply.choices[0].message.content == f"You said: {text.strip()}"


def test_a_conversation_keeps_its_turns(oai, backend):
    messages = [
        {"role": "user", "content": "first"},
        {"role": "assistant", "content": "You said: first"},
        {"role": "user", "content": "second"},
    ]
    reply = oai.chat.completions.create(model=backend.model, messages=messages)
    assert reply.choices[0].message.content == "You said: second"
    assert [m["role"] for m in backend.sent()["messages"]] == ["user", "assistant", "user"]


@pytest.mark.parametrize("role", ["system", "developer"])
def test_a_system_prompt_reaches_the_model(oai, backend, role):
    messages = [{"role": role, "content": "You are terse."}, *say("[system?]")]
    reply = oai.chat.completions.create(model=backend.model, messages=messages)
    assert reply.choices[0].message.content == "System: You are terse."


def test_a_stream_opens_with_the_role_and_ends_with_a_reason(oai, backend):
    stream = oai.chat.completions.create(model=backend.model, messages=say("Hello"), stream=True)
    chunks = list(stream)
    assert len({chunk.id for chunk in chunks}) == 1
    assert {chunk.object for chunk in chunks} == {"chat.completion.chunk"}
    # Usage was not asked for: it must not appear, whatever the gateway asked the provider for.
    assert all(chunk.usage is None for chunk in chunks)
    assert all(chunk.choices for chunk in chunks)
    deltas = [chunk.choices[0] for chunk in chunks]
    assert deltas[0].delta.role == "assistant"
    assert "".join(d.delta.content or "" for d in deltas) == "You said: Hello"
    assert [d.finish_reason for d in deltas if d.finish_reason] == ["stop"]
    assert deltas[-1].finish_reason == "stop"


def test_a_stream_ends_with_usage_when_asked(oai, backend):
    whole = oai.chat.completions.create(model=backend.model, messages=say("Hello"))
    stream = oai.chat.completions.create(
        model=backend.model,
        messages=say("Hello"),
        stream=True,
        stream_options={"include_usage": True},
    )
    chunks = list(stream)
    assert [bool(chunk.usage) for chunk in chunks] == [False] * (len(chunks) - 1) + [True]
    assert chunks[-1].choices == []
    usage = chunks[-1].usage
    assert usage.prompt_tokens == whole.usage.prompt_tokens
    assert usage.completion_tokens == whole.usage.completion_tokens
    assert usage.total_tokens == whole.usage.total_tokens


def test_the_stream_helper_builds_the_whole_answer(oai, backend):
    with oai.chat.completions.stream(model=backend.model, messages=say("Hello")) as stream:
        deltas = [event.delta for event in stream if event.type == "content.delta"]
        final = stream.get_final_completion()
    assert "".join(deltas) == "You said: Hello"
    assert final.choices[0].message.content == "You said: Hello"
    assert final.choices[0].finish_reason == "stop"


def test_a_stream_that_is_left_early_can_be_closed(oai, backend):
    messages = say("[slow:20] one two three four five six seven eight nine ten")
    stream = oai.chat.completions.create(model=backend.model, messages=messages, stream=True)
    next(iter(stream))
    stream.close()
    reply = oai.chat.completions.create(model=backend.model, messages=say("again"))
    assert reply.choices[0].message.content == "You said: again"


@pytest.mark.parametrize("name", ["max_tokens", "max_completion_tokens"])
def test_a_cut_off_answer_says_so(oai, backend, name):
    reply = oai.chat.completions.create(
        model=backend.model, messages=say("[length] tell me all"), **{name: 5}
    )
    assert reply.choices[0].finish_reason == "length"
    sent = backend.sent()
    assert 5 in (sent.get("max_tokens"), sent.get("max_completion_tokens"))


def test_a_stop_sequence_ends_the_answer(oai, backend):
    reply = oai.chat.completions.create(
        model=backend.model, messages=say("[stop:XYZ] before"), stop=["XYZ"]
    )
    assert reply.choices[0].finish_reason == "stop"
    assert "XYZ" not in reply.choices[0].message.content
    key = "stop" if backend.name == "openai" else "stop_sequences"
    assert backend.sent()[key] == ["XYZ"]


def test_a_single_stop_string_is_as_good_as_a_list(oai, backend):
    oai.chat.completions.create(model=backend.model, messages=say("Hello"), stop="XYZ")
    key = "stop" if backend.name == "openai" else "stop_sequences"
    assert backend.sent()[key] in ("XYZ", ["XYZ"])


def test_sampling_parameters_reach_the_model(oai, backend):
    oai.chat.completions.create(model=backend.model, messages=say("Hello"), temperature=0.25)
    assert backend.sent()["temperature"] == 0.25


def test_a_refusal_is_visible(oai, backend):
    reply = oai.chat.completions.create(model=backend.model, messages=say("[refuse]"))
    [choice] = reply.choices
    assert choice.message.refusal or choice.finish_reason == "content_filter"


def test_a_streamed_refusal_is_visible(oai, backend):
    stream = oai.chat.completions.create(model=backend.model, messages=say("[refuse]"), stream=True)
    choices = [chunk.choices[0] for chunk in stream if chunk.choices]
    refusal = "".join(choice.delta.refusal or "" for choice in choices)
    assert refusal or choices[-1].finish_reason == "content_filter"


def test_cached_tokens_are_a_part_of_the_prompt(oai, backend):
    usage = oai.chat.completions.create(model=backend.model, messages=say("[cached] Hi")).usage
    cached = usage.prompt_tokens_details.cached_tokens
    assert 0 < cached <= usage.prompt_tokens
    assert usage.total_tokens == usage.prompt_tokens + usage.completion_tokens


@pytest.mark.gateway_only
def test_a_parameter_that_cannot_be_kept_is_reported(oai, backend):
    raw = oai.chat.completions.with_raw_response.create(
        model=backend.model, messages=say("Hello"), seed=7
    )
    assert raw.parse().choices[0].message.content == "You said: Hello"
    losses = raw.headers.get("x-ziggurat-losses", "")
    if backend.name == "openai":
        assert backend.sent()["seed"] == 7
        assert losses == ""
    else:
        assert "seed" not in backend.sent()
        assert "seed" in losses


@pytest.mark.gateway_only
def test_an_unknown_parameter_passes_where_the_dialect_is_the_same(oai, backend):
    def ask():
        return oai.chat.completions.with_raw_response.create(
            model=backend.model,
            messages=say("Hello"),
            extra_body={"invented_yesterday": {"a": [1]}},
        )

    if backend.name == "openai":
        # It is for the provider to say that it does not know it.
        with pytest.raises(openai.BadRequestError) as caught:
            ask()
        assert caught.value.code == "unknown_parameter"
        assert backend.sent()["invented_yesterday"] == {"a": [1]}
    else:
        assert "invented_yesterday" in ask().headers["x-ziggurat-losses"]
        assert "invented_yesterday" not in backend.sent()


@pytest.mark.gateway_only
def test_the_provider_sees_its_own_model_name_and_its_own_key(oai, backend):
    oai.chat.completions.create(model=backend.model, messages=say("Hello"))
    request = backend.fake.last()
    upstream = {"openai": "gpt-4.1", "anthropic": "claude-sonnet-4-5"}[backend.name]
    assert request.body["model"] == upstream
    assert "sk-master" not in repr(request)
