"""The Anthropic client: conversations, streams, limits, usage."""

import pytest

from samples import AWKWARD

CLIENT = "anthropic"

LIMIT = 1024


def say(text: str) -> list[dict]:
    return [{"role": "user", "content": text}]


def ask(ant, backend, text: str, **more):
    return ant.messages.create(model=backend.model, max_tokens=LIMIT, messages=say(text), **more)


def test_an_answer_has_the_shape_that_the_client_knows(ant, backend):
    reply = ask(ant, backend, "Hello there")
    assert reply.type == "message"
    assert reply.role == "assistant"
    assert reply.id
    [block] = reply.content
    assert block.type == "text"
    assert block.text == "You said: Hello there"
    assert reply.stop_reason == "end_turn"
    assert reply.stop_sequence is None
    assert reply.usage.input_tokens > 0
    assert reply.usage.output_tokens > 0


def test_awkward_text_survives_both_ways(ant, backend):
    assert ask(ant, backend, AWKWARD).content[0].text == f"You said: {AWKWARD}"


def test_awkward_text_survives_a_stream(ant, backend):
    with ant.messages.stream(
        model=backend.model, max_tokens=LIMIT, messages=say(AWKWARD)
    ) as stream:
        assert "".join(stream.text_stream) == f"You said: {AWKWARD}"


def test_a_conversation_keeps_its_turns(ant, backend):
    messages = [
        {"role": "user", "content": "first"},
        {"role": "assistant", "content": [{"type": "text", "text": "You said: first"}]},
        {"role": "user", "content": [{"type": "text", "text": "second"}]},
    ]
    reply = ant.messages.create(model=backend.model, max_tokens=LIMIT, messages=messages)
    assert reply.content[0].text == "You said: second"
    assert [m["role"] for m in backend.sent()["messages"]] == ["user", "assistant", "user"]


@pytest.mark.parametrize(
    "system",
    ["You are terse.", [{"type": "text", "text": "You are terse."}]],
    ids=["text", "blocks"],
)
def test_a_system_prompt_reaches_the_model(ant, backend, system):
    reply = ask(ant, backend, "[system?]", system=system)
    assert reply.content[0].text == "System: You are terse."


def test_the_events_of_a_stream_come_in_the_vendors_order(ant, backend):
    stream = ant.messages.create(
        model=backend.model, max_tokens=LIMIT, messages=say("Hello"), stream=True
    )
    events = list(stream)
    kinds = [event.type for event in events]
    assert kinds[0] == "message_start"
    assert kinds[1] == "content_block_start"
    assert kinds[-3:] == ["content_block_stop", "message_delta", "message_stop"]
    assert set(kinds[2:-3]) == {"content_block_delta"}
    assert {e.index for e in events[1:-2]} == {0}
    assert events[0].message.content == []
    assert events[0].message.role == "assistant"
    text = "".join(e.delta.text for e in events if e.type == "content_block_delta")
    assert text == "You said: Hello"
    end = events[-2]
    assert end.delta.stop_reason == "end_turn"
    assert end.usage.output_tokens > 0


def test_the_stream_helper_builds_the_whole_answer(ant, backend):
    whole = ask(ant, backend, "Hello")
    with ant.messages.stream(
        model=backend.model, max_tokens=LIMIT, messages=say("Hello")
    ) as stream:
        final = stream.get_final_message()
    assert final.content[0].text == "You said: Hello"
    assert final.stop_reason == "end_turn"
    assert final.usage.input_tokens == whole.usage.input_tokens
    assert final.usage.output_tokens == whole.usage.output_tokens


def test_a_stream_that_is_left_early_can_be_closed(ant, backend):
    text = "[slow:20] one two three four five six seven eight nine ten"
    stream = ant.messages.create(
        model=backend.model, max_tokens=LIMIT, messages=say(text), stream=True
    )
    next(iter(stream))
    stream.close()
    assert ask(ant, backend, "again").content[0].text == "You said: again"


def test_a_cut_off_answer_says_so(ant, backend):
    reply = ant.messages.create(
        model=backend.model, max_tokens=5, messages=say("[length] tell me all")
    )
    assert reply.stop_reason == "max_tokens"
    sent = backend.sent()
    assert 5 in (sent.get("max_tokens"), sent.get("max_completion_tokens"))


def test_a_stop_sequence_ends_the_answer(ant, backend):
    reply = ask(ant, backend, "[stop:XYZ] before", stop_sequences=["XYZ"])
    assert "XYZ" not in reply.content[0].text
    if backend.name == "anthropic":
        assert reply.stop_reason == "stop_sequence"
        assert reply.stop_sequence == "XYZ"
        assert backend.sent()["stop_sequences"] == ["XYZ"]
    else:
        # The other dialect does not tell which string ended the answer, nor that one did.
        assert reply.stop_reason == "end_turn"
        assert backend.sent()["stop"] == ["XYZ"]


def test_sampling_parameters_reach_the_model(ant, backend):
    # The client has no argument for them any more: the current version of the API refuses them.
    ask(
        ant,
        backend,
        "Hello",
        extra_headers={"anthropic-version": "2023-06-01"},
        extra_body={"temperature": 0.25},
    )
    assert backend.sent()["temperature"] == 0.25


def test_a_refusal_is_visible(ant, backend):
    assert ask(ant, backend, "[refuse]").stop_reason == "refusal"


def test_a_streamed_refusal_is_visible(ant, backend):
    with ant.messages.stream(
        model=backend.model, max_tokens=LIMIT, messages=say("[refuse]")
    ) as stream:
        assert stream.get_final_message().stop_reason == "refusal"


def test_cached_tokens_are_counted_beside_the_input(ant, backend):
    usage = ask(ant, backend, "[cached] Hi").usage
    assert usage.cache_read_input_tokens > 0
    assert usage.input_tokens >= 0
    if backend.name == "openai":
        return
    with ant.messages.stream(
        model=backend.model, max_tokens=LIMIT, messages=say("[cached] Hi")
    ) as stream:
        streamed = stream.get_final_message().usage
    assert streamed.cache_read_input_tokens == usage.cache_read_input_tokens
    assert streamed.input_tokens == usage.input_tokens


@pytest.mark.gateway_only
def test_both_clients_are_told_of_the_same_tokens(ant, oai, backend):
    theirs = oai.chat.completions.create(model=backend.model, messages=say("[cached] Hi")).usage
    ours = ask(ant, backend, "[cached] Hi").usage
    written = ours.cache_creation_input_tokens or 0
    assert theirs.prompt_tokens == ours.input_tokens + ours.cache_read_input_tokens + written
    assert theirs.prompt_tokens_details.cached_tokens == ours.cache_read_input_tokens
    assert theirs.completion_tokens == ours.output_tokens


def test_tokens_are_counted_before_a_call(ant, backend):
    count = ant.messages.count_tokens(model=backend.model, messages=say("Hello there"))
    longer = ant.messages.count_tokens(model=backend.model, messages=say("Hello there " * 100))
    assert 0 < count.input_tokens < longer.input_tokens


@pytest.mark.gateway_only
def test_cache_marks_reach_a_model_that_knows_them(ant, backend):
    mark = {"type": "ephemeral"}
    ask(ant, backend, "Hello", system=[{"type": "text", "text": "Terse.", "cache_control": mark}])
    sent = backend.sent()
    if backend.name == "anthropic":
        assert sent["system"][0]["cache_control"] == mark
    else:
        assert "cache_control" not in repr(sent)


@pytest.mark.gateway_only
def test_a_parameter_that_cannot_be_kept_is_reported(ant, backend):
    raw = ant.messages.with_raw_response.create(
        model=backend.model,
        max_tokens=LIMIT,
        messages=say("Hello"),
        extra_headers={"anthropic-version": "2023-06-01"},
        extra_body={"top_k": 5},
    )
    assert raw.parse().content[0].text == "You said: Hello"
    losses = raw.headers.get("x-ziggurat-losses", "")
    if backend.name == "anthropic":
        assert backend.sent()["top_k"] == 5
        assert losses == ""
    else:
        assert "top_k" not in backend.sent()
        assert "top_k" in losses


@pytest.mark.gateway_only
def test_the_provider_sees_its_own_model_name_and_its_own_key(ant, backend):
    ask(ant, backend, "Hello")
    request = backend.fake.last()
    upstream = {"openai": "gpt-4.1", "anthropic": "claude-sonnet-4-5"}[backend.name]
    assert request.body["model"] == upstream
    assert "sk-master" not in repr(request)
    if backend.name == "anthropic":
        # The version that the client states is the version of the answer that it can read.
        assert request.headers["anthropic-version"] == "2026-10-21"


@pytest.mark.gateway_only
@pytest.mark.parametrize("backend", ["anthropic"], indirect=True)
def test_features_in_beta_are_passed_on(ant, backend):
    ask(ant, backend, "Hello", extra_headers={"anthropic-beta": "some-feature-2026-01-01"})
    assert backend.fake.last().headers["anthropic-beta"] == "some-feature-2026-01-01"
