"""The OpenAI client's legacy `completions`, over providers that converse."""

import openai
import pytest

CLIENT = "openai"
pytestmark = pytest.mark.gateway_only


def test_a_prompt_is_continued(oai, backend):
    answer = oai.completions.create(model=backend.model, prompt="Hello there", max_tokens=50)
    assert answer.object == "text_completion"
    assert answer.id.startswith("cmpl-")
    [choice] = answer.choices
    assert choice.text == "You said: Hello there"
    assert choice.finish_reason == "stop"
    assert answer.usage.total_tokens == answer.usage.prompt_tokens + answer.usage.completion_tokens


def test_a_prompt_is_continued_in_pieces(oai, backend):
    chunks = list(
        oai.completions.create(
            model=backend.model,
            prompt="Hello there",
            stream=True,
            stream_options={"include_usage": True},
        )
    )
    texts = [chunk.choices[0].text for chunk in chunks if chunk.choices]
    assert "".join(texts) == "You said: Hello there"
    assert len(texts) > 2
    assert chunks[-1].usage.total_tokens > 0
    [reason] = [c.choices[0].finish_reason for c in chunks if c.choices and c.choices[0].finish_reason]
    assert reason == "stop"


def test_the_prompt_comes_back_where_it_is_asked_for(oai, backend):
    answer = oai.completions.create(model=backend.model, prompt="Hello", echo=True)
    assert answer.choices[0].text == "HelloYou said: Hello"
    stream = oai.completions.create(model=backend.model, prompt="Hello", echo=True, stream=True)
    assert "".join(chunk.choices[0].text for chunk in stream) == "HelloYou said: Hello"


def test_what_a_model_that_converses_does_not_take_is_refused_by_name(oai, backend):
    for asked in ({"prompt": ["a", "b"]}, {"prompt": "a", "suffix": "b"}):
        with pytest.raises(openai.BadRequestError) as caught:
            oai.completions.create(model=backend.model, **asked)
        assert caught.value.param in asked


def test_a_stream_that_is_cut_does_not_look_finished(oai, backend):
    with pytest.raises(openai.APIError):
        for _ in oai.completions.create(model=backend.model, prompt="[cut] Hello", stream=True):
            pass
