"""Fake providers that take nothing but what the vendors' own clients would send: OpenAI Responses, Cohere, Ollama.

Each checks a request by the types of the vendor's SDK, answers `You said: …`, calls the first tool it is given, and says what
a tool answered.
"""

import inspect
import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import cohere
from ollama._types import ChatRequest
from openai.types.responses import response_create_params
from pydantic import TypeAdapter, ValidationError

from harness import PROVIDER_KEY

ARGUMENTS = '{"city": "Oslo", "unit": "celsius", "days": 2}'


class Wrong(Exception):
    """A request that the vendor would refuse."""


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        pass

    def do_POST(self):
        vendor = self.server.vendor
        body = json.loads(self.rfile.read(int(self.headers.get("content-length", 0))))
        self.server.asked.append(body)
        try:
            if self.path != vendor.PATH:
                raise Wrong(f"there is no {self.path}")
            if self.headers.get("authorization") != f"Bearer {PROVIDER_KEY}":
                raise Wrong("the key is not the provider's")
            try:
                vendor.check(body)
            except ValidationError as error:
                raise Wrong(str(error)) from error
            streamed = body.get("stream", vendor.STREAMS)
            said, result, tool = vendor.read(body)
            text = None if tool and result is None else f"You said: {said}"
            if result is not None:
                text = f"The tool said: {result}"
            self.send(vendor.stream(text, tool) if streamed else vendor.whole(text, tool), streamed)
        except Wrong as wrong:
            self.server.wrong.append(str(wrong))
            self.send(vendor.error(str(wrong)), False, 400)

    def send(self, answer, streamed, status=200):
        data = answer.encode() if streamed else json.dumps(answer).encode()
        self.send_response(status)
        kind = self.server.vendor.STREAM_TYPE if streamed else "application/json"
        self.send_header("content-type", kind)
        self.send_header("content-length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)


class Vendor:
    """A server that listens until it is stopped."""

    STREAMS = False
    STREAM_TYPE = "text/event-stream"

    def __init__(self):
        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.vendor, self.server.asked, self.server.wrong = self, [], []
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def stop(self):
        self.server.shutdown()
        self.server.server_close()

    def error(self, message):
        return {"message": message}


def pieces(text):
    """A text in words, spaces included."""
    words = text.split(" ")
    return [word if at == 0 else f" {word}" for at, word in enumerate(words)]


def sse(events, named=True):
    lines = []
    for event in events:
        head = f"event: {event['type']}\n" if named else ""
        lines.append(f"{head}data: {json.dumps(event)}\n\n")
    return "".join(lines)


def known(body, names):
    if unknown := set(body) - set(names):
        raise Wrong(f"unknown members: {sorted(unknown)}")


class Responses(Vendor):
    PATH = "/v1/responses"
    NAMES = set(response_create_params.ResponseCreateParamsBase.__annotations__) | {"stream"}
    INPUT = TypeAdapter(response_create_params.ResponseInputParam)
    TOOLS = TypeAdapter(list[response_create_params.ToolParam])

    def check(self, body):
        known(body, self.NAMES)
        if not isinstance(body["input"], str):
            self.INPUT.validate_python(body["input"])
        self.TOOLS.validate_python(body.get("tools", []))

    def read(self, body):
        items = body["input"]
        if isinstance(items, str):
            items = [{"role": "user", "content": items}]
        last = items[-1]
        tool = next((tool["name"] for tool in body.get("tools", [])), None)
        if last.get("type") == "function_call_output":
            output = last["output"]
            if not isinstance(output, str):
                output = "".join(part.get("text", "") for part in output)
            return "", output, tool
        content = last["content"]
        if not isinstance(content, str):
            content = "".join(part.get("text", "") for part in content)
        return content, None, tool

    def item(self, text, tool):
        if text is None:
            return {
                "type": "function_call", "id": "fc_1", "call_id": "call_1", "name": tool,
                "arguments": ARGUMENTS, "status": "completed",
            }
        part = {"type": "output_text", "text": text, "annotations": [], "logprobs": []}
        return {
            "type": "message", "id": "msg_1", "role": "assistant", "status": "completed",
            "content": [part],
        }

    def response(self, output, status="completed"):
        usage = {
            "input_tokens": 5, "output_tokens": 4, "total_tokens": 9,
            "input_tokens_details": {"cached_tokens": 0},
            "output_tokens_details": {"reasoning_tokens": 0},
        }
        return {
            "id": "resp_1", "object": "response", "created_at": 1, "model": "gpt-5.2",
            "status": status, "error": None, "incomplete_details": None, "output": output,
            "usage": usage if status == "completed" else None,
        }

    def whole(self, text, tool):
        return self.response([self.item(text, tool)])

    def stream(self, text, tool):
        item = self.item(text, tool)
        where = {"output_index": 0, "item_id": item["id"]}
        begun = {**item, "status": "in_progress"}
        events = [{"type": "response.created", "response": self.response([], "in_progress")}]
        if text is None:
            begun["arguments"] = ""
            deltas = [
                {"type": "response.function_call_arguments.delta", **where, "delta": piece}
                for piece in (ARGUMENTS[:9], ARGUMENTS[9:])
            ]
        else:
            begun["content"] = []
            where["content_index"] = 0
            part = {**item["content"][0], "text": ""}
            deltas = [{"type": "response.content_part.added", **where, "part": part}]
            deltas += [
                {"type": "response.output_text.delta", **where, "delta": piece, "logprobs": []}
                for piece in pieces(text)
            ]
            done = {"type": "response.content_part.done", **where, "part": item["content"][0]}
            deltas.append(done)
        events.append({"type": "response.output_item.added", "output_index": 0, "item": begun})
        events += deltas
        events.append({"type": "response.output_item.done", "output_index": 0, "item": item})
        events.append({"type": "response.completed", "response": self.response([item])})
        for number, event in enumerate(events):
            event["sequence_number"] = number
        return sse(events)

    def error(self, message):
        return {"error": {"message": message, "type": "invalid_request_error", "code": None}}


class Cohere(Vendor):
    PATH = "/v2/chat"
    NAMES = set(inspect.signature(cohere.ClientV2.chat).parameters) | {"stream"}
    MESSAGES = TypeAdapter(list[cohere.ChatMessageV2])
    TOOLS = TypeAdapter(list[cohere.ToolV2])

    def check(self, body):
        known(body, self.NAMES - {"self", "request_options"})
        self.MESSAGES.validate_python(body["messages"])
        self.TOOLS.validate_python(body.get("tools", []))

    def read(self, body):
        last = body["messages"][-1]
        tool = next((tool["function"]["name"] for tool in body.get("tools", [])), None)
        content = last["content"]
        if not isinstance(content, str):
            texts = [part.get("text") or json.dumps(part.get("document")) for part in content]
            content = "".join(texts)
        if last["role"] == "tool":
            return "", content, tool
        return content, None, tool

    def call(self, tool, arguments):
        return {
            "id": "get_weather_1", "type": "function",
            "function": {"name": tool, "arguments": arguments},
        }

    USAGE = {
        "billed_units": {"input_tokens": 5, "output_tokens": 4},
        "tokens": {"input_tokens": 5, "output_tokens": 4},
    }

    def whole(self, text, tool):
        message = {"role": "assistant"}
        if text is None:
            message["tool_calls"] = [self.call(tool, ARGUMENTS)]
        else:
            message["content"] = [{"type": "text", "text": text}]
        reason = "TOOL_CALL" if text is None else "COMPLETE"
        return {"id": "c1", "finish_reason": reason, "message": message, "usage": self.USAGE}

    def stream(self, text, tool):
        def delta(kind, message=None, **more):
            inner = {} if message is None else {"delta": {"message": message}}
            return {"type": kind, **more, **inner}

        events = [delta("message-start", {"role": "assistant", "content": []}, id="c1")]
        if text is None:
            events.append(delta("tool-call-start", {"tool_calls": self.call(tool, "")}, index=0))
            events += [
                delta("tool-call-delta", {"tool_calls": {"function": {"arguments": piece}}}, index=0)
                for piece in (ARGUMENTS[:9], ARGUMENTS[9:])
            ]
            events.append(delta("tool-call-end", index=0))
        else:
            start = {"content": {"type": "text", "text": ""}}
            events.append(delta("content-start", start, index=0))
            events += [
                delta("content-delta", {"content": {"text": piece}}, index=0)
                for piece in pieces(text)
            ]
            events.append(delta("content-end", index=0))
        reason = "TOOL_CALL" if text is None else "COMPLETE"
        end = {"finish_reason": reason, "usage": self.USAGE}
        events.append({"type": "message-end", "delta": end})
        return sse(events)


class Ollama(Vendor):
    PATH = "/api/chat"
    STREAMS = True
    STREAM_TYPE = "application/x-ndjson"

    def check(self, body):
        known(body, ChatRequest.model_fields)
        ChatRequest.model_validate(body)

    def read(self, body):
        last = body["messages"][-1]
        tool = next((tool["function"]["name"] for tool in body.get("tools", [])), None)
        if last["role"] == "tool":
            return "", last["content"], tool
        return last["content"], None, tool

    END = {
        "done": True, "done_reason": "stop", "total_duration": 9, "load_duration": 1,
        "prompt_eval_count": 5, "prompt_eval_duration": 1, "eval_count": 4, "eval_duration": 1,
    }

    def message(self, text, tool):
        message = {"role": "assistant", "content": text or ""}
        if text is None:
            call = {"name": tool, "arguments": json.loads(ARGUMENTS)}
            message["tool_calls"] = [{"function": call}]
        return {"model": "llama", "created_at": "2026-01-01T00:00:00Z", "message": message}

    def whole(self, text, tool):
        return {**self.message(text, tool), **self.END}

    def stream(self, text, tool):
        said = [None] if text is None else pieces(text)
        lines = [{**self.message(piece, tool), "done": False} for piece in said]
        lines.append({**self.message("", tool), **self.END})
        return "".join(json.dumps(line) + "\n" for line in lines)

    def error(self, message):
        return {"error": message}
