"""Every vendor's client over every vendor's provider: whole, in pieces, and with a tool and its answer."""

import json

import anthropic
import boto3
import cohere
import google.genai
import ollama
import openai
import pytest
from botocore.config import Config

from bedrock import KEYS, REGION, Bedrock
from harness import MASTER_KEY, PROVIDER_KEY, Fake, Gateway
from samples import WEATHER
from vendors import Cohere, Ollama, Responses

CLIENT = "matrix"
pytestmark = pytest.mark.gateway_only

CONFIG = """\
model_list:
  - model_name: openai
    litellm_params: {{model: openai/gpt-4.1, api_base: {openai}/v1, api_key: {key}}}
  - model_name: anthropic
    litellm_params: {{model: anthropic/claude-sonnet-4-5, api_base: {anthropic}, api_key: {key}}}
  - model_name: gemini
    litellm_params: {{model: gemini/gemini-2.5-flash, api_base: {gemini}/v1beta, api_key: {key}}}
  - model_name: responses
    litellm_params: {{model: openai/responses/gpt-5.2, api_base: {responses}/v1, api_key: {key}}}
  - model_name: cohere
    litellm_params: {{model: cohere_chat/command-a-03-2025, api_base: {cohere}, api_key: {key}}}
  - model_name: ollama
    litellm_params: {{model: ollama_chat/llama3.3, api_base: {ollama}, api_key: {key}}}
  - model_name: converse
    litellm_params:
      model: bedrock/anthropic.claude-haiku-4-5-20251001-v1:0
      aws_bedrock_runtime_endpoint: {converse}
      aws_region_name: {region}
      aws_access_key_id: {id}
      aws_secret_access_key: {secret}
      aws_session_token: {token}
router_settings:
  num_retries: 0
general_settings:
  master_key: {master}
"""

BACKENDS = ["openai", "responses", "anthropic", "gemini", "converse", "cohere", "ollama"]


@pytest.fixture(scope="module")
def vendors(tmp_path_factory):
    directory = tmp_path_factory.mktemp("matrix-fakes")
    running = {}
    try:
        for dialect in ("openai", "anthropic", "gemini"):
            running[dialect] = Fake(dialect, directory)
        running |= {"responses": Responses(), "cohere": Cohere(), "ollama": Ollama()}
        running["converse"] = Bedrock()
        yield running
    finally:
        for vendor in running.values():
            stop = vendor.program.stop if isinstance(vendor, Fake) else vendor.stop
            stop()


@pytest.fixture(scope="module")
def address(vendors, tmp_path_factory):
    text = CONFIG.format(
        **{name: vendor.url for name, vendor in vendors.items()},
        key=PROVIDER_KEY,
        master=MASTER_KEY,
        region=REGION,
        id=KEYS.access_key,
        secret=KEYS.secret_key,
        token=KEYS.token,
    )
    gateway = Gateway(text, tmp_path_factory.mktemp("matrix"))
    yield gateway.url
    gateway.program.stop()


FUNCTION = {"name": "get_weather", "description": "Weather", "parameters": WEATHER}
PROMPT = "[tool] city=Oslo"
RESULT = "4 C and dry"


class OpenAiChat:
    def __init__(self, url):
        self.client = openai.OpenAI(base_url=url + "/v1", api_key=MASTER_KEY, max_retries=0)

    def create(self, model, messages, **more):
        return self.client.chat.completions.create(model=model, messages=messages, **more)

    def say(self, model, text):
        answer = self.create(model, [{"role": "user", "content": text}])
        assert answer.usage.completion_tokens > 0
        return answer.choices[0].message.content

    def stream(self, model, text):
        stream = self.create(model, [{"role": "user", "content": text}], stream=True)
        return [chunk.choices[0].delta.content or "" for chunk in stream if chunk.choices]

    def tool(self, model):
        tools = [{"type": "function", "function": FUNCTION}]
        messages = [{"role": "user", "content": PROMPT}]
        first = self.create(model, messages, tools=tools).choices[0]
        assert first.finish_reason == "tool_calls"
        [call] = first.message.tool_calls
        messages += [
            first.message.model_dump(exclude_none=True),
            {"role": "tool", "tool_call_id": call.id, "content": RESULT},
        ]
        second = self.create(model, messages, tools=tools)
        return json.loads(call.function.arguments), second.choices[0].message.content


class OpenAiResponses(OpenAiChat):
    def say(self, model, text):
        return self.client.responses.create(model=model, input=text).output_text

    def stream(self, model, text):
        with self.client.responses.stream(model=model, input=text) as stream:
            return [event.delta for event in stream if event.type == "response.output_text.delta"]

    def tool(self, model):
        tools = [{"type": "function", "strict": False, **FUNCTION}]
        first = self.client.responses.create(model=model, input=PROMPT, tools=tools)
        [call] = [item for item in first.output if item.type == "function_call"]
        result = {"type": "function_call_output", "call_id": call.call_id, "output": RESULT}
        second = self.client.responses.create(
            model=model, input=[result], previous_response_id=first.id, tools=tools
        )
        return json.loads(call.arguments), second.output_text


class Anthropic:
    def __init__(self, url):
        self.client = anthropic.Anthropic(base_url=url, api_key=MASTER_KEY, max_retries=0)

    def create(self, model, messages, **more):
        return self.client.messages.create(model=model, messages=messages, max_tokens=500, **more)

    def say(self, model, text):
        answer = self.create(model, [{"role": "user", "content": text}])
        assert answer.usage.output_tokens > 0
        return answer.content[0].text

    def stream(self, model, text):
        messages = [{"role": "user", "content": text}]
        with self.client.messages.stream(model=model, messages=messages, max_tokens=500) as stream:
            return list(stream.text_stream)

    def tool(self, model):
        tools = [{"name": "get_weather", "description": "Weather", "input_schema": WEATHER}]
        messages = [{"role": "user", "content": PROMPT}]
        first = self.create(model, messages, tools=tools)
        assert first.stop_reason == "tool_use"
        [call] = [block for block in first.content if block.type == "tool_use"]
        result = {"type": "tool_result", "tool_use_id": call.id, "content": RESULT}
        messages += [
            {"role": "assistant", "content": first.content},
            {"role": "user", "content": [result]},
        ]
        return call.input, self.create(model, messages, tools=tools).content[0].text


class Gemini:
    def __init__(self, url):
        options = google.genai.types.HttpOptions(base_url=url, timeout=30_000)
        self.client = google.genai.Client(api_key=MASTER_KEY, http_options=options)

    def say(self, model, text):
        answer = self.client.models.generate_content(model=model, contents=text)
        assert answer.usage_metadata.candidates_token_count > 0
        return answer.text

    def stream(self, model, text):
        stream = self.client.models.generate_content_stream(model=model, contents=text)
        return [chunk.text or "" for chunk in stream]

    def tool(self, model):
        types = google.genai.types
        declaration = {
            "name": "get_weather",
            "description": "Weather",
            "parameters_json_schema": WEATHER,
        }
        config = types.GenerateContentConfig(
            tools=[types.Tool(function_declarations=[declaration])],
            automatic_function_calling={"disable": True},
        )
        asked = types.UserContent(PROMPT)
        first = self.client.models.generate_content(model=model, contents=asked, config=config)
        [call] = first.function_calls
        answer = types.Part.from_function_response(name=call.name, response={"result": RESULT})
        answer.function_response.id = call.id
        contents = [asked, first.candidates[0].content, types.UserContent([answer])]
        second = self.client.models.generate_content(model=model, contents=contents, config=config)
        return call.args, second.text


class Vertex(Gemini):
    """The same client, as it asks Google's cloud."""

    def __init__(self, url):
        options = google.genai.types.HttpOptions(base_url=url, timeout=30_000)
        self.client = google.genai.Client(vertexai=True, api_key=MASTER_KEY, http_options=options)


class Converse:
    def __init__(self, url):
        self.client = boto3.client(
            "bedrock-runtime",
            endpoint_url=url,
            region_name=REGION,
            aws_access_key_id="unused",
            aws_secret_access_key="unused",
            config=Config(retries={"max_attempts": 0}),
        )
        bearer = f"Bearer {MASTER_KEY}"
        # The gateway has a key, and no AWS account.
        self.client.meta.events.register(
            "before-send.bedrock-runtime.*",
            lambda request, **_: request.headers.__setitem__("Authorization", bearer),
        )

    def say(self, model, text):
        messages = [{"role": "user", "content": [{"text": text}]}]
        answer = self.client.converse(modelId=model, messages=messages)
        assert answer["usage"]["outputTokens"] > 0
        return answer["output"]["message"]["content"][0]["text"]

    def stream(self, model, text):
        messages = [{"role": "user", "content": [{"text": text}]}]
        events = self.client.converse_stream(modelId=model, messages=messages)["stream"]
        deltas = [event["contentBlockDelta"]["delta"] for event in events if "contentBlockDelta" in event]
        return [delta["text"] for delta in deltas if "text" in delta]

    def tool(self, model):
        spec = {"name": "get_weather", "description": "Weather", "inputSchema": {"json": WEATHER}}
        tools = {"tools": [{"toolSpec": spec}]}
        messages = [{"role": "user", "content": [{"text": PROMPT}]}]
        first = self.client.converse(modelId=model, messages=messages, toolConfig=tools)
        assert first["stopReason"] == "tool_use"
        message = first["output"]["message"]
        [call] = [block["toolUse"] for block in message["content"] if "toolUse" in block]
        result = {"toolUseId": call["toolUseId"], "content": [{"text": RESULT}]}
        messages += [message, {"role": "user", "content": [{"toolResult": result}]}]
        second = self.client.converse(modelId=model, messages=messages, toolConfig=tools)
        return call["input"], second["output"]["message"]["content"][0]["text"]


class CohereClient:
    def __init__(self, url):
        self.client = cohere.ClientV2(api_key=MASTER_KEY, base_url=url)

    def create(self, model, messages, **more):
        once = {"max_retries": 0}
        return self.client.chat(model=model, messages=messages, request_options=once, **more)

    def say(self, model, text):
        answer = self.create(model, [{"role": "user", "content": text}])
        assert answer.usage.tokens.output_tokens > 0
        return answer.message.content[0].text

    def stream(self, model, text):
        messages = [{"role": "user", "content": text}]
        stream = self.client.chat_stream(model=model, messages=messages)
        return [event.delta.message.content.text for event in stream if event.type == "content-delta"]

    def tool(self, model):
        tools = [{"type": "function", "function": FUNCTION}]
        messages = [{"role": "user", "content": PROMPT}]
        first = self.create(model, messages, tools=tools)
        assert first.finish_reason == "TOOL_CALL"
        [call] = first.message.tool_calls
        result = {"role": "tool", "tool_call_id": call.id, "content": RESULT}
        second = self.create(model, [*messages, first.message, result], tools=tools)
        return json.loads(call.function.arguments), second.message.content[0].text


class OllamaClient:
    def __init__(self, url):
        self.client = ollama.Client(host=url, headers={"Authorization": f"Bearer {MASTER_KEY}"})

    def say(self, model, text):
        answer = self.client.chat(model=model, messages=[{"role": "user", "content": text}])
        assert answer.eval_count > 0
        return answer.message.content

    def stream(self, model, text):
        messages = [{"role": "user", "content": text}]
        stream = self.client.chat(model=model, messages=messages, stream=True)
        return [chunk.message.content or "" for chunk in stream]

    def tool(self, model):
        tools = [{"type": "function", "function": FUNCTION}]
        messages = [{"role": "user", "content": PROMPT}]
        first = self.client.chat(model=model, messages=messages, tools=tools)
        [call] = first.message.tool_calls
        result = {"role": "tool", "tool_name": call.function.name, "content": RESULT}
        second = self.client.chat(model=model, messages=[*messages, first.message, result], tools=tools)
        return dict(call.function.arguments), second.message.content


CLIENTS = {
    "openai": OpenAiChat,
    "responses": OpenAiResponses,
    "anthropic": Anthropic,
    "gemini": Gemini,
    "vertex": Vertex,
    "converse": Converse,
    "cohere": CohereClient,
    "ollama": OllamaClient,
}


@pytest.fixture(scope="module", params=CLIENTS)
def client(request, address):
    return CLIENTS[request.param](address)


@pytest.fixture(params=BACKENDS)
def model(request, vendors):
    yield request.param
    vendor = vendors[request.param]
    if not isinstance(vendor, (Fake, Bedrock)):
        assert vendor.server.wrong == []


def expected(model, text):
    return "Hi!" if model == "converse" else text


def test_an_answer(client, model):
    assert client.say(model, "Hello there") == expected(model, "You said: Hello there")


def test_an_answer_in_pieces(client, model):
    said = client.stream(model, "Hello there")
    assert "".join(said) == expected(model, "You said: Hello there")
    assert len([piece for piece in said if piece]) > 1


def test_a_tool_and_its_answer(client, model):
    arguments, text = client.tool(model)
    assert arguments["city"] == "Oslo"
    assert RESULT in text or model == "converse"
