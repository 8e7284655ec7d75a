"""Things to send."""

import base64
import struct
import zlib

from pydantic import BaseModel


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


# One grey pixel.
PNG = (
    b"\x89PNG\r\n\x1a\n"
    + _chunk(b"IHDR", struct.pack(">IIBBBBB", 1, 1, 8, 0, 0, 0, 0))
    + _chunk(b"IDAT", zlib.compress(b"\x00\x80", 9))
    + _chunk(b"IEND", b"")
)
PNG_BASE64 = base64.b64encode(PNG).decode()

PDF = b"%PDF-1.4\n1 0 obj<</Type/Catalog>>endobj\ntrailer<</Root 1 0 R>>\n%%EOF\n"
PDF_BASE64 = base64.b64encode(PDF).decode()

IMAGE_URL = "https://images.test/cat.png"

# Text that breaks careless code: two, three and four bytes a character, a line separator that is no
# line end in JSON, quotes, a backslash, an escape.
AWKWARD = 'Grüße, 世界 🦀\u2028"quoted" \\ \t end'

WEATHER = {
    "type": "object",
    "properties": {
        "city": {"type": "string"},
        "unit": {"type": "string", "enum": ["celsius", "fahrenheit"]},
        "days": {"type": "integer"},
    },
    "required": ["city", "unit", "days"],
    "additionalProperties": False,
}
TIME = {
    "type": "object",
    "properties": {"zone": {"type": "string"}},
    "required": ["zone"],
    "additionalProperties": False,
}


def check_arguments(name: str, arguments: dict) -> None:
    """The arguments fit the schema of the tool `name`."""
    schema = {"get_weather": WEATHER, "get_time": TIME}[name]
    assert set(arguments) == set(schema["required"])
    kinds = {"string": str, "integer": int}
    for key, value in arguments.items():
        member = schema["properties"][key]
        assert isinstance(value, kinds[member["type"]])
        assert value in member.get("enum", [value])


class Person(BaseModel):
    name: str
    age: int
    emails: list[str]
