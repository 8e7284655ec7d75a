"""What the clients build on top of calls: parsing, accumulating, running tools, raw answers."""

import asyncio

import anthropic
import httpx2
import openai
import pytest
from anthropic import beta_async_tool, beta_tool
from pydantic import BaseModel

from samples import Person


def say(text: str) -> list[dict]:
    return [{"role": "user", "content": text}]


class GetWeather(BaseModel):
    """The weather in a city."""

    city: str
    days: int


class TestOpenAI:
    CLIENT = "openai"

    def test_arguments_of_a_tool_are_parsed_into_a_class(self, oai, backend):
        reply = oai.chat.completions.parse(
            model=backend.model,
            messages=say("[tool] city=Oslo"),
            tools=[openai.pydantic_function_tool(GetWeather)],
        )
        [call] = reply.choices[0].message.tool_calls
        assert isinstance(call.function.parsed_arguments, GetWeather)
        assert call.function.parsed_arguments.city == "Oslo"

    def test_the_stream_helper_tells_of_text_and_its_end(self, oai, backend):
        with oai.chat.completions.stream(
            model=backend.model,
            messages=say("one two"),
            stream_options={"include_usage": True},
        ) as stream:
            events = [event for event in stream if event.type != "chunk"]
            final = stream.get_final_completion()
        assert {event.type for event in events[:-1]} == {"content.delta"}
        assert "".join(event.delta for event in events[:-1]) == "You said: one two"
        assert events[-1].type == "content.done"
        assert events[-1].content == final.choices[0].message.content == "You said: one two"
        assert final.usage.prompt_tokens > 0
        assert final.usage.completion_tokens > 0

    def test_the_stream_helper_parses_arguments(self, oai, backend):
        with oai.chat.completions.stream(
            model=backend.model,
            messages=say("[preface] [tools2] city=Oslo"),
            tools=[openai.pydantic_function_tool(GetWeather)],
        ) as stream:
            final = stream.get_final_completion()
        message = final.choices[0].message
        assert message.content == "Let me look."
        parsed = [call.function.parsed_arguments for call in message.tool_calls]
        assert [call.city for call in parsed] == ["Oslo", "Oslo"]

    @pytest.mark.parametrize("streamed", [False, True])
    def test_what_is_cut_off_is_not_parsed(self, oai, backend, streamed):
        arguments = {
            "model": backend.model,
            "messages": say("[length] Who are you then?"),
            "response_format": Person,
        }
        with pytest.raises(openai.LengthFinishReasonError) as caught:
            if streamed:
                with oai.chat.completions.stream(**arguments) as stream:
                    stream.get_final_completion()
            else:
                oai.chat.completions.parse(**arguments)
        assert caught.value.completion.choices[0].finish_reason == "length"

    def test_what_is_filtered_is_not_parsed(self, oai, backend):
        with pytest.raises(openai.ContentFilterFinishReasonError):
            oai.chat.completions.parse(
                model=backend.model, messages=say("[filter] a b c"), response_format=Person
            )

    @pytest.mark.parametrize("mark", ["[cut]", "[midstream-error]"])
    def test_a_stream_that_fails_has_no_final_answer(self, oai, backend, mark):
        with oai.chat.completions.stream(
            model=backend.model, messages=say(f"{mark} one two three")
        ) as stream:
            with pytest.raises(openai.APIError):
                stream.get_final_completion()

    def test_an_answer_can_be_taken_raw_and_parsed_later(self, oai, backend):
        with oai.chat.completions.with_streaming_response.create(
            model=backend.model, messages=say("Hello")
        ) as raw:
            assert raw.status_code == 200
            assert raw.headers["content-type"].startswith("application/json")
            assert raw.parse().choices[0].message.content == "You said: Hello"

    def test_a_stream_can_be_read_line_by_line(self, oai, backend):
        with oai.chat.completions.with_streaming_response.create(
            model=backend.model, messages=say("Hello"), stream=True
        ) as raw:
            lines = [line for line in raw.iter_lines() if line]
        assert all(line.startswith(("data: ", ":")) for line in lines)
        assert lines[-1] == "data: [DONE]"

    def test_an_answer_knows_its_request(self, oai, backend):
        raw = oai.chat.completions.with_raw_response.create(
            model=backend.model, messages=say("Hello")
        )
        assert raw.parse()._request_id == raw.headers["x-request-id"]

    def test_the_tier_is_one_that_the_client_knows(self, oai, backend):
        reply = oai.chat.completions.create(model=backend.model, messages=say("Hello"))
        assert reply.service_tier == "default"
        stream = oai.chat.completions.create(
            model=backend.model, messages=say("Hello"), stream=True
        )
        assert {chunk.service_tier for chunk in stream if chunk.choices} == {"default"}

    def test_all_of_it_without_blocking(self, openai_options, backend):
        async def main():
            async with openai.AsyncOpenAI(**openai_options) as client:
                parsed = await client.chat.completions.parse(
                    model=backend.model, messages=say("Who?"), response_format=Person
                )
                assert isinstance(parsed.choices[0].message.parsed, Person)
                async with client.chat.completions.stream(
                    model=backend.model, messages=say("one two")
                ) as stream:
                    texts = [e.delta async for e in stream if e.type == "content.delta"]
                    final = await stream.get_final_completion()
                assert "".join(texts) == final.choices[0].message.content == "You said: one two"
                async with client.chat.completions.with_streaming_response.create(
                    model=backend.model, messages=say("one"), stream=True
                ) as raw:
                    body = [line async for line in raw.iter_lines() if line]
                assert body[-1] == "data: [DONE]"
                assert [model.id async for model in client.models.list()]

        asyncio.run(main())


@beta_tool
def get_weather(city: str) -> str:
    """The weather in a city.

    Args:
        city: Where.
    """
    return f"rain in {city}"


@beta_tool
def break_down(city: str) -> str:
    """A tool that fails.

    Args:
        city: Where.
    """
    raise RuntimeError(f"no weather in {city}")


@beta_async_tool
async def get_weather_later(city: str) -> str:
    """The weather in a city.

    Args:
        city: Where.
    """
    return f"rain in {city}"


def texts(message) -> list[str]:
    return [block.text for block in message.content if block.type == "text"]


class TestAnthropic:
    CLIENT = "anthropic"

    # The runner keeps the conversation in a thread of the provider's. Where the provider has none, it learns so from the error
    # and sends all of the conversation each time.
    def test_tools_are_run_until_the_model_has_its_answer(self, ant, backend):
        runner = ant.beta.messages.tool_runner(
            model=backend.model,
            max_tokens=1024,
            messages=say("[tool] city=Oslo"),
            tools=[get_weather],
        )
        first, last = list(runner)
        assert first.stop_reason == "tool_use"
        assert last.stop_reason == "end_turn"
        assert texts(last) == ["The tool said: rain in Oslo"]

    def test_tools_are_run_between_streams(self, ant, backend):
        runner = ant.beta.messages.tool_runner(
            model=backend.model,
            max_tokens=1024,
            messages=say("[preface] [tool] city=Oslo"),
            tools=[get_weather],
            stream=True,
        )
        first, last = [stream.get_final_message() for stream in runner]
        assert texts(first) == ["Let me look."]
        assert texts(last) == ["The tool said: rain in Oslo"]

    def test_tools_are_run_without_a_thread(self, ant, backend):
        runner = ant.beta.messages.tool_runner(
            model=backend.model,
            max_tokens=1024,
            messages=say("[tools2] city=Oslo"),
            tools=[get_weather],
            thread=False,
        )
        last = runner.until_done()
        assert texts(last)[0].count("The tool said: rain in Oslo") == 2
        assert "thread" not in backend.sent()

    def test_a_tool_that_raises_has_failed(self, ant, backend):
        runner = ant.beta.messages.tool_runner(
            model=backend.model,
            max_tokens=1024,
            messages=say("[tool] city=Oslo"),
            tools=[break_down],
        )
        [text] = texts(runner.until_done())
        assert "no weather in Oslo" in text
        # The other dialect has no member for it.
        assert text.startswith("The tool failed" if backend.name == "anthropic" else "The tool")

    def test_a_thread_is_held_or_refused(self, ant, backend):
        thread = ant.beta.messages.thread(model=backend.model, max_tokens=1024, system="Terse.")
        ask = {"role": "user", "content": "[system?]"}
        if backend.name == "anthropic":
            assert texts(thread.send(ask)) == ["System: Terse."]
            assert texts(thread.send(ask)) == ["System: Terse."]
            assert "system" not in backend.sent()
        else:
            with pytest.raises(anthropic.BadRequestError) as caught:
                thread.send(ask)
            assert caught.value.details.error_code == "thread_unsupported_request"
            assert "thread" in caught.value.api_message
            assert backend.fake.requests() == []

    def test_features_in_beta_have_calls_of_their_own(self, ant, backend):
        arguments = {"model": backend.model, "messages": say("one two")}
        whole = ant.beta.messages.create(
            **arguments, max_tokens=1024, betas=["context-1m-2025-08-07"]
        )
        assert texts(whole) == ["You said: one two"]
        with ant.beta.messages.stream(**arguments, max_tokens=1024) as stream:
            assert texts(stream.get_final_message()) == ["You said: one two"]
        parsed = ant.beta.messages.parse(**arguments, max_tokens=1024, output_format=Person)
        assert isinstance(parsed.parsed_output, Person)
        assert ant.beta.messages.count_tokens(**arguments).input_tokens > 0

    def test_the_stream_helper_tells_of_text_as_it_grows(self, ant, backend):
        with ant.messages.stream(
            model=backend.model, max_tokens=1024, messages=say("one two")
        ) as stream:
            grown = [event.snapshot for event in stream if event.type == "text"]
        assert grown == ["You", "You said:", "You said: one", "You said: one two"]

    @pytest.mark.parametrize("mark", ["[cut]", "[midstream-error]"])
    def test_a_stream_that_fails_has_no_final_answer(self, ant, backend, mark):
        # Cut off without a gateway, it is the transport that says so.
        with pytest.raises((anthropic.APIError, httpx2.TransportError)):
            with ant.messages.stream(
                model=backend.model, max_tokens=1024, messages=say(f"{mark} one two three")
            ) as stream:
                stream.get_final_message()

    def test_an_answer_can_be_taken_raw_and_parsed_later(self, ant, backend):
        with ant.messages.with_streaming_response.create(
            model=backend.model, max_tokens=1024, messages=say("Hello")
        ) as raw:
            assert raw.headers["content-type"].startswith("application/json")
            assert texts(raw.parse()) == ["You said: Hello"]

    def test_a_stream_can_be_read_line_by_line(self, ant, backend):
        with ant.messages.with_streaming_response.create(
            model=backend.model, max_tokens=1024, messages=say("Hello"), stream=True
        ) as raw:
            lines = [line for line in raw.iter_lines() if line]
        assert lines[0] == "event: message_start"
        assert lines[-1] == 'data: {"type":"message_stop"}'

    def test_an_answer_knows_its_request(self, ant, backend):
        raw = ant.messages.with_raw_response.create(
            model=backend.model, max_tokens=1024, messages=say("Hello")
        )
        assert raw.parse()._request_id == raw.headers["request-id"]
        with pytest.raises(anthropic.APIStatusError) as caught:
            ant.messages.create(model=backend.model, max_tokens=1024, messages=say("[error:500]"))
        assert caught.value.request_id == caught.value.body["request_id"]
        assert caught.value.request_id

    def test_all_of_it_without_blocking(self, anthropic_options, backend):
        async def main():
            arguments = {"model": backend.model, "max_tokens": 1024}
            async with anthropic.AsyncAnthropic(**anthropic_options) as client:
                runner = client.beta.messages.tool_runner(
                    **arguments, messages=say("[tool] city=Oslo"), tools=[get_weather_later]
                )
                last = await runner.until_done()
                assert texts(last) == ["The tool said: rain in Oslo"]
                parsed = await client.messages.parse(
                    **arguments, messages=say("Who?"), output_format=Person
                )
                assert isinstance(parsed.parsed_output, Person)
                async with client.messages.stream(
                    **arguments, messages=say("one two")
                ) as stream:
                    assert [text async for text in stream.text_stream][-1] == " two"
                    assert texts(await stream.get_final_message()) == ["You said: one two"]
                count = await client.messages.count_tokens(
                    model=backend.model, messages=say("one two")
                )
                assert count.input_tokens > 0
                assert [model.id async for model in client.models.list()]

        asyncio.run(main())
