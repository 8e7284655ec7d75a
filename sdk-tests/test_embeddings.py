"""Vectors, asked for by every client that knows them, from providers that speak otherwise."""

import math

import cohere
import google.genai
import ollama
import openai
import pytest
from google.genai import types

from harness import MASTER_KEY, PROVIDER_KEY, Fake, Gateway

pytestmark = pytest.mark.gateway_only

CONFIG = """\
model_list:
  - model_name: of-openai
    litellm_params:
      model: openai/text-embedding-3-small
      api_base: {openai}/v1
      api_key: {key}
  # Of models with `gemini` in their names Google's client sends several texts as one content.
  - model_name: of-google
    litellm_params:
      model: gemini/gemini-embedding-001
      api_base: {gemini}
      api_key: {key}
  - model_name: chat
    litellm_params:
      model: anthropic/claude-sonnet-4-5
      api_base: {gemini}
      api_key: {key}
router_settings:
  num_retries: 0
general_settings:
  master_key: {master}
"""

TEXTS = ["first", "second", "ünïcödé \u2028 text"]


@pytest.fixture(scope="module")
def providers(tmp_path_factory):
    directory = tmp_path_factory.mktemp("vectors")
    providers = {}
    try:
        for dialect in ("openai", "gemini"):
            providers[dialect] = Fake(dialect, directory)
        yield providers
    finally:
        for provider in providers.values():
            provider.program.stop()


@pytest.fixture(scope="module")
def url(providers, tmp_path_factory):
    urls = {name: provider.url for name, provider in providers.items()}
    text = CONFIG.format(**urls, key=PROVIDER_KEY, master=MASTER_KEY)
    gateway = Gateway(text, tmp_path_factory.mktemp("gateway"))
    yield gateway.url
    gateway.program.stop()


@pytest.fixture(params=["of-openai", "of-google"])
def model(request):
    return request.param


def clients(url):
    """What each vendor's client makes of some texts: one list of numbers each."""

    def of_openai(model, texts, size):
        client = openai.OpenAI(base_url=url + "/v1", api_key=MASTER_KEY, max_retries=0)
        # The client asks for base64 unless it is told otherwise.
        reply = client.embeddings.create(model=model, input=texts, dimensions=size)
        assert [item.index for item in reply.data] == list(range(len(texts)))
        assert reply.usage.prompt_tokens == reply.usage.total_tokens > 0
        return [item.embedding for item in reply.data]

    def of_openai_floats(model, texts, size):
        client = openai.OpenAI(base_url=url + "/v1", api_key=MASTER_KEY, max_retries=0)
        reply = client.embeddings.create(
            model=model, input=texts, dimensions=size, encoding_format="float"
        )
        return [item.embedding for item in reply.data]

    def of_google(model, texts, size):
        options = types.HttpOptions(base_url=url, timeout=30_000)
        with google.genai.Client(api_key=MASTER_KEY, http_options=options) as client:
            config = types.EmbedContentConfig(output_dimensionality=size)
            reply = client.models.embed_content(model=model, contents=texts, config=config)
            return [item.values for item in reply.embeddings]

    def of_cohere(model, texts, size):
        client = cohere.ClientV2(api_key=MASTER_KEY, base_url=url)
        reply = client.embed(
            model=model,
            texts=texts,
            input_type="search_document",
            embedding_types=["float"],
            output_dimension=size,
        )
        assert reply.texts == texts
        return reply.embeddings.float_

    def of_ollama(model, texts, size):
        client = ollama.Client(host=url, headers={"Authorization": f"Bearer {MASTER_KEY}"})
        reply = client.embed(model=model, input=texts, dimensions=size)
        return reply.embeddings

    return {
        "openai": of_openai,
        "openai floats": of_openai_floats,
        "google": of_google,
        "cohere": of_cohere,
        "ollama": of_ollama,
    }


@pytest.mark.parametrize("client", ["openai", "openai floats", "google", "cohere", "ollama"])
def test_every_client_gets_the_same_vectors(client, model, url):
    vectors = clients(url)[client](model, TEXTS, 64)
    assert [len(vector) for vector in vectors] == [64] * len(TEXTS)
    for vector in vectors:
        assert math.isclose(sum(number * number for number in vector), 1, rel_tol=1e-3)
    expected = clients(url)["openai floats"](model, TEXTS, 64)
    for vector, other in zip(vectors, expected, strict=True):
        assert all(math.isclose(a, b, abs_tol=1e-6) for a, b in zip(vector, other, strict=True))


@pytest.mark.parametrize("client", ["openai", "google", "cohere", "ollama"])
def test_more_texts_than_the_provider_takes_are_answered_in_order(client, url, providers):
    providers["gemini"].clear()
    texts = [f"text number {number}" for number in range(250)]
    vectors = clients(url)[client]("of-google", texts, 8)
    requests = providers["gemini"].requests()
    assert sorted(len(request.body["requests"]) for request in requests) == [50, 100, 100]
    assert len(vectors) == 250
    [alone] = clients(url)["openai floats"]("of-google", [texts[249]], 8)
    assert all(math.isclose(a, b, abs_tol=1e-6) for a, b in zip(vectors[249], alone, strict=True))


def test_one_text_without_a_list(url, model):
    client = openai.OpenAI(base_url=url + "/v1", api_key=MASTER_KEY, max_retries=0)
    reply = client.embeddings.create(model=model, input="alone")
    assert len(reply.data) == 1 and len(reply.data[0].embedding) in (1536, 3072)
    old = ollama.Client(host=url, headers={"Authorization": f"Bearer {MASTER_KEY}"})
    assert len(old.embeddings(model=model, prompt="alone").embedding) in (1536, 3072)


def test_tokens_go_to_their_own_vendor_only(url):
    client = openai.OpenAI(base_url=url + "/v1", api_key=MASTER_KEY, max_retries=0)
    assert client.embeddings.create(model="of-openai", input=[[1, 2], [3]]).data[1].index == 1
    with pytest.raises(openai.BadRequestError) as refused:
        client.embeddings.create(model="of-google", input=[[1, 2], [3]])
    assert refused.value.param == "input[0]"


def test_what_the_provider_refuses_reads_like_the_clients_own_vendor(url):
    client = openai.OpenAI(base_url=url + "/v1", api_key=MASTER_KEY, max_retries=0)
    for model in ("of-openai", "of-google"):
        with pytest.raises(openai.BadRequestError) as refused:
            client.embeddings.create(model=model, input="a", dimensions=100_000)
        assert "dimension" in str(refused.value)
    with pytest.raises(openai.NotFoundError):
        client.embeddings.create(model="nobody", input="a")
    with pytest.raises(openai.BadRequestError):
        client.embeddings.create(model="chat", input="a")
    options = types.HttpOptions(base_url=url, timeout=30_000)
    with google.genai.Client(api_key="wrong", http_options=options) as stranger:
        with pytest.raises(google.genai.errors.ClientError):
            stranger.models.embed_content(model="of-openai", contents="a")
