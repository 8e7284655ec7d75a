"""The Anthropic client: structured output, pictures, documents."""

import json

from samples import IMAGE_URL, PDF, PDF_BASE64, PNG, PNG_BASE64, Person

CLIENT = "anthropic"

LIMIT = 1024

SCHEMA = {
    "type": "object",
    "properties": {"name": {"type": "string"}, "age": {"type": "integer"}},
    "required": ["name", "age"],
    "additionalProperties": False,
}


def say(*content) -> list[dict]:
    return [{"role": "user", "content": list(content)}]


def text(text: str) -> dict:
    return {"type": "text", "text": text}


def ask(ant, backend, *content, **more):
    return ant.messages.create(
        model=backend.model, max_tokens=LIMIT, messages=say(*content), **more
    )


def test_an_answer_follows_its_schema(ant, backend):
    config = {"format": {"type": "json_schema", "schema": SCHEMA}}
    reply = ask(ant, backend, text("Who?"), output_config=config)
    assert reply.stop_reason == "end_turn"
    person = json.loads(reply.content[0].text)
    assert isinstance(person["name"], str)
    assert isinstance(person["age"], int)
    assert set(person) == {"name", "age"}


def test_a_streamed_answer_follows_its_schema(ant, backend):
    config = {"format": {"type": "json_schema", "schema": SCHEMA}}
    with ant.messages.stream(
        model=backend.model, max_tokens=LIMIT, messages=say(text("Who?")), output_config=config
    ) as stream:
        assert set(json.loads(stream.get_final_text())) == {"name", "age"}


def test_an_answer_is_parsed_into_a_class(ant, backend):
    reply = ant.messages.parse(
        model=backend.model, max_tokens=LIMIT, messages=say(text("Who?")), output_format=Person
    )
    assert isinstance(reply.parsed_output, Person)


def test_a_picture_inline_arrives_whole(ant, backend):
    source = {"type": "base64", "media_type": "image/png", "data": PNG_BASE64}
    reply = ask(ant, backend, text("What is this?"), {"type": "image", "source": source})
    assert f"image image/png {len(PNG)} bytes" in reply.content[0].text


def test_a_picture_by_address_arrives_as_its_address(ant, backend):
    source = {"type": "url", "url": IMAGE_URL}
    reply = ask(ant, backend, text("What is this?"), {"type": "image", "source": source})
    assert f"image url {IMAGE_URL}" in reply.content[0].text


def test_a_document_arrives_whole(ant, backend):
    source = {"type": "base64", "media_type": "application/pdf", "data": PDF_BASE64}
    document = {"type": "document", "source": source, "title": "a.pdf"}
    reply = ask(ant, backend, document, text("What is this?"))
    assert f"application/pdf {len(PDF)} bytes" in reply.content[0].text


def test_a_document_of_plain_text_is_read(ant, backend):
    source = {"type": "text", "media_type": "text/plain", "data": "The answer is forty-two."}
    ask(ant, backend, {"type": "document", "source": source}, text("What is this?"))
    assert "The answer is forty-two." in json.dumps(backend.sent())
