"""The OpenAI client: structured output, pictures, documents, effort."""

import json

import pytest

from samples import IMAGE_URL, PDF, PDF_BASE64, PNG, PNG_BASE64, Person

CLIENT = "openai"


def say(text: str) -> list[dict]:
    return [{"role": "user", "content": text}]


def parts(*parts: dict) -> list[dict]:
    return [{"role": "user", "content": [{"type": "text", "text": "What is this?"}, *parts]}]


FORMAT = {
    "type": "json_schema",
    "json_schema": {
        "name": "person",
        "strict": True,
        "schema": {
            "type": "object",
            "properties": {"name": {"type": "string"}, "age": {"type": "integer"}},
            "required": ["name", "age"],
            "additionalProperties": False,
        },
    },
}


def test_an_answer_follows_its_schema(oai, backend):
    reply = oai.chat.completions.create(
        model=backend.model, messages=say("Who?"), response_format=FORMAT
    )
    assert reply.choices[0].finish_reason == "stop"
    person = json.loads(reply.choices[0].message.content)
    assert isinstance(person["name"], str)
    assert isinstance(person["age"], int)
    assert set(person) == {"name", "age"}


def test_a_streamed_answer_follows_its_schema(oai, backend):
    stream = oai.chat.completions.create(
        model=backend.model, messages=say("Who?"), response_format=FORMAT, stream=True
    )
    text = "".join(c.choices[0].delta.content or "" for c in stream if c.choices)
    assert set(json.loads(text)) == {"name", "age"}


def test_an_answer_is_parsed_into_a_class(oai, backend):
    reply = oai.chat.completions.parse(
        model=backend.model, messages=say("Who?"), response_format=Person
    )
    assert isinstance(reply.choices[0].message.parsed, Person)


def test_a_streamed_answer_is_parsed_into_a_class(oai, backend):
    with oai.chat.completions.stream(
        model=backend.model, messages=say("Who?"), response_format=Person
    ) as stream:
        final = stream.get_final_completion()
    assert isinstance(final.choices[0].message.parsed, Person)


def test_a_picture_inline_arrives_whole(oai, backend):
    url = f"data:image/png;base64,{PNG_BASE64}"
    reply = oai.chat.completions.create(
        model=backend.model, messages=parts({"type": "image_url", "image_url": {"url": url}})
    )
    assert f"image image/png {len(PNG)} bytes" in reply.choices[0].message.content


def test_a_picture_by_address_arrives_as_its_address(oai, backend):
    image = {"type": "image_url", "image_url": {"url": IMAGE_URL}}
    reply = oai.chat.completions.create(model=backend.model, messages=parts(image))
    assert f"image url {IMAGE_URL}" in reply.choices[0].message.content


def test_two_pictures_keep_their_order(oai, backend):
    inline = {"url": f"data:image/png;base64,{PNG_BASE64}"}
    reply = oai.chat.completions.create(
        model=backend.model,
        messages=parts(
            {"type": "image_url", "image_url": {"url": IMAGE_URL}},
            {"type": "image_url", "image_url": inline},
        ),
    )
    text = reply.choices[0].message.content
    assert 0 <= text.index("image url") < text.index("image image/png")


def test_a_document_arrives_whole(oai, backend):
    data = f"data:application/pdf;base64,{PDF_BASE64}"
    document = {"type": "file", "file": {"filename": "a.pdf", "file_data": data}}
    reply = oai.chat.completions.create(model=backend.model, messages=parts(document))
    assert f"application/pdf {len(PDF)} bytes" in reply.choices[0].message.content


@pytest.mark.parametrize("effort", ["low", "high"])
def test_effort_reaches_a_model_that_thinks(oai, backend, effort):
    reply = oai.chat.completions.create(
        model=backend.thinker, messages=say("Hello"), reasoning_effort=effort
    )
    assert reply.choices[0].message.content == "You said: Hello"
    sent = backend.sent()
    if backend.name == "openai":
        assert sent["reasoning_effort"] == effort
    else:
        assert sent["thinking"]["type"] == "adaptive"
        assert sent["output_config"]["effort"] == effort


@pytest.mark.gateway_only
@pytest.mark.parametrize("backend", ["anthropic"], indirect=True)
def test_effort_becomes_a_budget_where_the_model_wants_one(oai, backend):
    oai.chat.completions.create(
        model=backend.model, messages=say("Hello"), reasoning_effort="low", max_tokens=4096
    )
    thinking = backend.sent()["thinking"]
    assert thinking["type"] == "enabled"
    assert 1024 <= thinking["budget_tokens"] < backend.sent()["max_tokens"]


@pytest.mark.gateway_only
@pytest.mark.parametrize("backend", ["anthropic"], indirect=True)
def test_thoughts_are_shown_beside_the_answer(oai, backend):
    reply = oai.chat.completions.create(
        model=backend.model, messages=say("[think] Hello"), reasoning_effort="low", max_tokens=4096
    )
    message = reply.choices[0].message
    assert message.reasoning_content
    assert message.reasoning_content not in message.content


def test_a_thinking_conversation_goes_on(oai, backend):
    messages = say("[think] Hello")
    first = oai.chat.completions.create(
        model=backend.thinker, messages=messages, reasoning_effort="low"
    )
    messages += [first.choices[0].message, *say("more")]
    second = oai.chat.completions.create(
        model=backend.thinker, messages=messages, reasoning_effort="low"
    )
    assert second.choices[0].message.content == "You said: more"
