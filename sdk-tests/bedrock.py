"""A fake Bedrock: takes nothing that is not signed as AWS's own signer signs it, or that the service model does not know."""

import json
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import unquote

import botocore.session
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from botocore.eventstream import crc32
from botocore.validate import ParamValidator

KEYS = Credentials("AKIDEXAMPLE", "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY", "session-token")
REGION = "eu-west-1"
BEARER = "ABSK-bedrock-key"

MODEL = botocore.session.get_session().get_service_model("bedrock-runtime")

USAGE = {
    "inputTokens": 21,
    "outputTokens": 9,
    "totalTokens": 1242,
    "cacheReadInputTokens": 1024,
    "cacheWriteInputTokens": 188,
}


def frame(headers: dict[str, str], payload: dict) -> bytes:
    """A message of the binary event stream."""
    head = b"".join(
        bytes([len(name)]) + name.encode() + b"\x07" + len(value).to_bytes(2) + value.encode()
        for name, value in headers.items()
    )
    body = json.dumps(payload).encode()
    prelude = (len(head) + len(body) + 16).to_bytes(4) + len(head).to_bytes(4)
    prelude += crc32(prelude).to_bytes(4)
    message = prelude + head + body
    return message + crc32(message).to_bytes(4)


def event(kind: str, payload: dict) -> bytes:
    headers = {
        ":event-type": kind,
        ":content-type": "application/json",
        ":message-type": "event",
    }
    return frame(headers, {**payload, "p": "abcdef"})


def signature(method: str, url: str, body: bytes, signed: list[str], headers) -> str:
    """What AWS's own signer makes of a request, at the time that the request says."""
    request = AWSRequest(method=method, url=url, data=body)
    for name in signed:
        if name not in ("host", "x-amz-date", "x-amz-security-token"):
            request.headers[name] = headers[name]
    request.context["timestamp"] = headers["x-amz-date"]
    signer = SigV4Auth(KEYS, "bedrock", REGION)
    request.headers["X-Amz-Date"] = headers["x-amz-date"]
    request.headers["X-Amz-Security-Token"] = KEYS.token
    canonical = signer.canonical_request(request)
    return signer.signature(signer.string_to_sign(request, canonical), request)


class Refused(Exception):
    """An answer that is an error."""

    def __init__(self, status: int, kind: str, message: str):
        super().__init__(message)
        self.status, self.kind = status, kind


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        pass

    def do_POST(self):
        body = self.rfile.read(int(self.headers.get("content-length", 0)))
        try:
            self.authorize(body)
            _, model, operation = self.path.strip("/").split("/")
            name = "".join(word.title() for word in operation.split("-"))
            params = json.loads(body)
            self.validate(name, {**params, "modelId": unquote(model)})
            self.server.asked.append((unquote(model), operation, params, dict(self.headers)))
            if name == "CountTokens":
                return self.send("application/json", b'{"inputTokens": 42}')
            self.answer(name == "ConverseStream", params)
        except Refused as error:
            self.error(error)

    def authorize(self, body: bytes):
        said = self.headers.get("authorization", "")
        if said == f"Bearer {BEARER}":
            return
        if not said.startswith("AWS4-HMAC-SHA256 "):
            raise Refused(403, "MissingAuthenticationTokenException", "Missing Authentication Token")
        parts = dict(part.strip().split("=", 1) for part in said.split(" ", 1)[1].split(","))
        scope = parts["Credential"].split("/")
        if scope[0] != KEYS.access_key or scope[2:] != [REGION, "bedrock", "aws4_request"]:
            raise Refused(403, "UnrecognizedClientException", "The security token is invalid.")
        url = f"http://{self.headers['host']}{self.path}"
        signed = parts["SignedHeaders"].split(";")
        for needed in ("host", "x-amz-date", "content-type", "x-amz-security-token"):
            if needed not in signed:
                raise Refused(403, "InvalidSignatureException", f"{needed} must be signed")
        if signature("POST", url, body, signed, self.headers) != parts["Signature"]:
            raise Refused(403, "InvalidSignatureException", "The signature does not match.")

    def validate(self, operation: str, params: dict):
        shape = MODEL.operation_model(operation).input_shape
        report = ParamValidator().validate(blobs(params), shape)
        if report.has_errors():
            raise Refused(400, "ValidationException", report.generate_report())

    def answer(self, streamed: bool, params: dict):
        text = str(params["messages"][-1]["content"])
        if "#throttle" in text:
            raise Refused(429, "ThrottlingException", "Too many requests, please wait.")
        calls = "toolConfig" in params and "toolResult" not in text
        call = {"toolUseId": "tooluse_1", "name": "get_weather"}
        stop = "tool_use" if calls else "end_turn"
        if not streamed:
            block = {"toolUse": {**call, "input": {"city": "Oslo"}}} if calls else {"text": "Hi!"}
            message = {"role": "assistant", "content": [block]}
            payload = {
                "output": {"message": message},
                "stopReason": stop,
                "usage": USAGE,
                "metrics": {"latencyMs": 12},
            }
            return self.send("application/json", json.dumps(payload).encode())
        events = [event("messageStart", {"role": "assistant"})]
        if calls:
            start = {"contentBlockIndex": 0, "start": {"toolUse": call}}
            events.append(event("contentBlockStart", start))
        pieces = ['{"city":', '"Oslo"}'] if calls else ["Hi", "!"]
        for piece in pieces:
            delta = {"toolUse": {"input": piece}} if calls else {"text": piece}
            events.append(event("contentBlockDelta", {"contentBlockIndex": 0, "delta": delta}))
        if "#break" in text:
            headers = {
                ":exception-type": "serviceUnavailableException",
                ":message-type": "exception",
            }
            events.append(frame(headers, {"message": "busy"}))
        else:
            events.append(event("contentBlockStop", {"contentBlockIndex": 0}))
            events.append(event("messageStop", {"stopReason": stop}))
            events.append(event("metadata", {"usage": USAGE, "metrics": {"latencyMs": 12}}))
        # What breaks off does so after its client has read something.
        pieces = [b"".join(events[:-1]), events[-1]] if "#break" in text else [b"".join(events)]
        self.send("application/vnd.amazon.eventstream", *pieces)

    def error(self, error: Refused):
        body = json.dumps({"message": str(error)}).encode()
        headers = {"x-amzn-ErrorType": error.kind}
        self.send("application/json", body, status=error.status, headers=headers)

    def send(self, kind: str, *pieces: bytes, status=200, headers=None):
        self.send_response(status)
        self.send_header("content-type", kind)
        self.send_header("content-length", str(sum(map(len, pieces))))
        self.send_header("x-amzn-requestid", "req-1")
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.end_headers()
        for piece in pieces:
            self.wfile.write(piece)
            self.wfile.flush()
            if piece is not pieces[-1]:
                time.sleep(0.3)


def blobs(value):
    """Blobs are base64 on the wire, which the service model does not show."""
    if isinstance(value, dict):
        return {
            key: item.encode() if key in ("bytes", "redactedContent") else blobs(item)
            for key, item in value.items()
        }
    return [blobs(item) for item in value] if isinstance(value, list) else value


class Bedrock:
    """The fake, on a port of its own."""

    def __init__(self):
        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.asked = []
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def asked(self):
        """The model, the operation, the body and the headers of the last request that was taken."""
        return self.server.asked[-1]

    def stop(self):
        self.server.shutdown()
