"""boto3 in front of the gateway, and a Bedrock that checks signatures behind it."""

import boto3
import openai
import pytest
from botocore import UNSIGNED
from botocore.config import Config
from botocore.exceptions import ClientError, EventStreamError

from bedrock import BEARER, KEYS, REGION, Bedrock
from harness import MASTER_KEY, PROVIDER_KEY, Gateway

pytestmark = pytest.mark.gateway_only
CLIENT = "bedrock"

ARN = f"arn:aws:bedrock:{REGION}:123456789012:inference-profile/eu.anthropic.claude-sonnet-4-5"

CONFIG = """\
model_list:
  - model_name: bedrock
    litellm_params: &signed
      model: bedrock/anthropic.claude-haiku-4-5-20251001-v1:0
      aws_bedrock_runtime_endpoint: {bedrock}
      aws_region_name: {region}
      aws_access_key_id: {id}
      aws_secret_access_key: {secret}
      aws_session_token: {token}
  - model_name: profile
    litellm_params:
      <<: *signed
      model: bedrock/{arn}
      aws_region_name: us-east-1
  - model_name: bearer
    litellm_params:
      model: bedrock/converse/amazon.nova-pro-v1:0
      aws_bedrock_runtime_endpoint: {bedrock}
      aws_region_name: {region}
      api_key: {bearer}
  - model_name: stranger
    litellm_params:
      <<: *signed
      aws_secret_access_key: not-the-secret-of-this-id
  - model_name: gpt
    litellm_params:
      model: openai/gpt-4.1
      api_base: {openai}/v1
      api_key: {key}
  - model_name: claude
    litellm_params:
      model: anthropic/claude-sonnet-4-5
      api_base: {anthropic}
      api_key: {key}
router_settings:
  num_retries: 0
general_settings:
  master_key: {master}
"""

TOOL = {
    "toolSpec": {
        "name": "get_weather",
        "description": "Weather",
        "inputSchema": {
            "json": {"type": "object", "properties": {"city": {"type": "string"}}}
        },
    }
}


def user(text):
    return [{"role": "user", "content": [{"text": text}]}]


@pytest.fixture(scope="module")
def provider():
    provider = Bedrock()
    yield provider
    provider.stop()


@pytest.fixture(scope="module")
def door(provider, fakes, tmp_path_factory):
    text = CONFIG.format(
        bedrock=provider.url,
        region=REGION,
        id=KEYS.access_key,
        secret=KEYS.secret_key,
        token=KEYS.token,
        arn=ARN,
        bearer=BEARER,
        openai=fakes["openai"].url,
        anthropic=fakes["anthropic"].url,
        key=PROVIDER_KEY,
        master=MASTER_KEY,
    )
    gateway = Gateway(text, tmp_path_factory.mktemp("bedrock"))
    yield gateway
    gateway.program.stop()


@pytest.fixture(scope="module")
def client(door):
    """boto3 sends a bearer's key over https only, so that it is put in here."""
    config = Config(signature_version=UNSIGNED, retries={"total_max_attempts": 1})
    client = boto3.client(
        "bedrock-runtime", region_name=REGION, endpoint_url=door.url, config=config
    )

    def bear(request, **_):
        request.headers["Authorization"] = f"Bearer {MASTER_KEY}"

    client.meta.events.register("before-send.bedrock-runtime", bear)
    return client


@pytest.fixture(scope="module")
def asker(door):
    return openai.OpenAI(base_url=door.url + "/v1", api_key=MASTER_KEY, max_retries=0)


ALL = ["gpt", "claude", "bedrock"]


@pytest.mark.parametrize("model", ALL)
def test_a_whole_answer(client, model):
    answer = client.converse(
        modelId=model,
        system=[{"text": "You are terse."}],
        messages=user("Hello"),
        inferenceConfig={"maxTokens": 100, "temperature": 0.5},
    )
    message = answer["output"]["message"]
    assert message["role"] == "assistant" and message["content"][0]["text"]
    assert answer["stopReason"] == "end_turn"
    usage = answer["usage"]
    total = usage["inputTokens"] + usage["outputTokens"]
    total += usage["cacheReadInputTokens"] + usage["cacheWriteInputTokens"]
    assert usage["totalTokens"] == total > 0
    assert "latencyMs" in answer["metrics"]


@pytest.mark.parametrize("model", ALL)
def test_a_stream(client, model):
    answer = client.converse_stream(modelId=model, messages=user("Hello"))
    kinds, text = [], ""
    for event in answer["stream"]:
        kind = next(iter(event))
        kinds.append(kind)
        if kind == "contentBlockDelta":
            text += event[kind]["delta"]["text"]
    assert kinds[0] == "messageStart" and kinds[-2:] == ["messageStop", "metadata"]
    assert text and event["metadata"]["usage"]["outputTokens"] > 0


@pytest.mark.parametrize("model", ["bedrock"])
def test_tools(client, model):
    tools = {"tools": [TOOL], "toolChoice": {"any": {}}}
    first = user("Weather in Oslo?")
    answer = client.converse(modelId=model, messages=first, toolConfig=tools)
    assert answer["stopReason"] == "tool_use"
    message = answer["output"]["message"]
    call = message["content"][-1]["toolUse"]
    assert call["name"] == "get_weather" and isinstance(call["input"], dict)
    result = {"toolUseId": call["toolUseId"], "content": [{"text": "4 C"}], "status": "success"}
    history = [*first, message, {"role": "user", "content": [{"toolResult": result}]}]
    answer = client.converse(modelId=model, messages=history, toolConfig={"tools": [TOOL]})
    assert answer["stopReason"] == "end_turn"


def test_errors_have_their_types(client):
    with pytest.raises(ClientError) as error:
        client.converse(modelId="nobody", messages=user("Hello"))
    assert error.value.response["Error"]["Code"] == "ResourceNotFoundException"
    with pytest.raises(ClientError) as error:
        client.converse(modelId="bedrock", messages=user("#throttle"))
    assert error.value.response["Error"]["Code"] == "ThrottlingException"
    with pytest.raises(ClientError) as error:
        client.converse(modelId="gpt", messages=[])
    assert error.value.response["Error"]["Code"] == "ValidationException"


def test_who_signs_is_let_in_by_the_id_of_the_key(door):
    """Over plain http boto3 signs, whatever keys it has."""
    config = Config(retries={"total_max_attempts": 1})
    options = {"region_name": REGION, "endpoint_url": door.url, "config": config}
    keys = {"aws_secret_access_key": "is not looked at", "aws_access_key_id": MASTER_KEY}
    client = boto3.client("bedrock-runtime", **options, **keys)
    assert client.converse(modelId="gpt", messages=user("Hello"))["stopReason"] == "end_turn"
    stranger = boto3.client("bedrock-runtime", **options, **{**keys, "aws_access_key_id": "AKID"})
    with pytest.raises(ClientError) as error:
        stranger.converse(modelId="gpt", messages=user("Hello"))
    assert error.value.response["Error"]["Code"] == "UnrecognizedClientException"


def test_an_exception_in_a_stream(client):
    answer = client.converse_stream(modelId="bedrock", messages=user("#break"))
    with pytest.raises(EventStreamError) as error:
        list(answer["stream"])
    assert "serviceUnavailableException" in str(error.value)


def test_openais_client_is_answered_by_bedrock(asker, provider):
    answer = asker.chat.completions.create(
        model="bedrock",
        messages=[{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Hi"}],
        max_tokens=50,
    )
    assert answer.choices[0].message.content == "Hi!"
    assert answer.usage.prompt_tokens == 21 + 1024 + 188
    assert answer.usage.prompt_tokens_details.cached_tokens == 1024
    model, operation, body, headers = provider.asked()
    assert (model, operation) == ("anthropic.claude-haiku-4-5-20251001-v1:0", "converse")
    assert body["inferenceConfig"] == {"maxTokens": 50}
    assert "model" not in body and "stream" not in body
    assert MASTER_KEY not in str(headers)


def test_a_streamed_call_of_a_tool(asker, provider):
    tool = {"type": "function", "function": {"name": "get_weather", "parameters": {"type": "object"}}}
    stream = asker.chat.completions.create(
        model="bedrock",
        messages=[{"role": "user", "content": "Weather?"}],
        tools=[tool],
        stream=True,
        stream_options={"include_usage": True},
    )
    arguments, finish, usage = "", None, None
    for chunk in stream:
        usage = chunk.usage or usage
        for choice in chunk.choices:
            finish = choice.finish_reason or finish
            for call in choice.delta.tool_calls or []:
                arguments += call.function.arguments or ""
    assert (arguments, finish, usage.total_tokens) == ('{"city":"Oslo"}', "tool_calls", 1242)
    assert provider.asked()[1] == "converse-stream"


def test_an_arn_is_one_segment_and_tells_the_region(asker, provider):
    asker.chat.completions.create(model="profile", messages=[{"role": "user", "content": "Hi"}])
    model, _, _, headers = provider.asked()
    assert model == ARN
    assert f"/{REGION}/bedrock/aws4_request" in {k.lower(): v for k, v in headers.items()}["authorization"]


def test_a_key_of_bedrocks_own(asker, provider):
    asker.chat.completions.create(model="bearer", messages=[{"role": "user", "content": "Hi"}])
    model, _, _, headers = provider.asked()
    assert model == "amazon.nova-pro-v1:0"
    assert {k.lower(): v for k, v in headers.items()}["authorization"] == f"Bearer {BEARER}"


def test_a_signature_that_is_refused_is_not_the_callers_fault(asker):
    with pytest.raises(openai.InternalServerError) as error:
        asker.chat.completions.create(model="stranger", messages=[{"role": "user", "content": "Hi"}])
    assert error.value.status_code == 502
    assert "signature" not in str(error.value).lower()


def test_tokens_are_counted(client, provider):
    counted = client.count_tokens(modelId="bedrock", input={"converse": {"messages": user("Hello")}})
    assert counted["inputTokens"] == 42
    model, operation, params, _ = provider.server.asked[-1]
    assert (model, operation) == ("anthropic.claude-haiku-4-5-20251001-v1:0", "count-tokens")
    assert params["input"]["converse"]["messages"]
    # OpenAI has nothing to count with: it is estimated.
    counted = client.count_tokens(modelId="gpt", input={"converse": {"messages": user("Hello")}})
    assert 0 < counted["inputTokens"] < 42
