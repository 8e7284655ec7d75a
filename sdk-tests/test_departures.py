"""Clients that leave: the provider stops at once, and the next call is none the worse."""

import asyncio

import anthropic
import openai
import pytest

# The provider says a word in so many milliseconds: it would talk for half a minute.
TALK = "[slow:300] " + "word " * 100
# It says nothing for half a minute.
SILENCE = "[slow:30000] word"
# Seconds that a client waits for an answer.
PATIENCE = 0.4


def say(text: str) -> list[dict]:
    return [{"role": "user", "content": text}]


class TestOpenAI:
    CLIENT = "openai"

    def ask(self, client, backend, text, **more):
        return client.chat.completions.create(model=backend.model, messages=say(text), **more)

    def test_a_stream_that_is_closed_stops_the_provider(self, oai, backend):
        before = backend.fake.disconnects()
        stream = self.ask(oai, backend, TALK, stream=True)
        next(iter(stream))
        stream.close()
        backend.fake.wait_for_disconnect(before)
        assert self.ask(oai, backend, "again").choices[0].message.content == "You said: again"

    def test_a_client_that_has_waited_long_enough_stops_the_provider(self, oai, backend):
        before = backend.fake.disconnects()
        with pytest.raises(openai.APITimeoutError):
            self.ask(oai.with_options(timeout=PATIENCE), backend, SILENCE)
        backend.fake.wait_for_disconnect(before)

    def test_the_clients_patience_is_for_each_piece_of_a_stream(self, oai, backend):
        text = "[slow:100] one two three four five six seven"
        stream = self.ask(oai.with_options(timeout=PATIENCE), backend, text, stream=True)
        chunks = [chunk for chunk in stream if chunk.choices]
        assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks).endswith("seven")

    def test_a_cancelled_task_stops_the_provider(self, openai_options, backend):
        async def main():
            async with openai.AsyncOpenAI(**openai_options) as client:
                await asyncio.wait_for(self.ask(client, backend, SILENCE), PATIENCE)

        before = backend.fake.disconnects()
        with pytest.raises(asyncio.TimeoutError):
            asyncio.run(main())
        backend.fake.wait_for_disconnect(before)

    def test_a_stream_that_is_left_by_an_exception_stops_the_provider(self, oai, backend):
        before = backend.fake.disconnects()
        with pytest.raises(ZeroDivisionError):
            with oai.chat.completions.stream(model=backend.model, messages=say(TALK)) as stream:
                for _ in stream:
                    raise ZeroDivisionError
        backend.fake.wait_for_disconnect(before)


class TestAnthropic:
    CLIENT = "anthropic"

    def ask(self, client, backend, text, **more):
        return client.messages.create(
            model=backend.model, max_tokens=1024, messages=say(text), **more
        )

    def test_a_stream_that_is_closed_stops_the_provider(self, ant, backend):
        before = backend.fake.disconnects()
        stream = self.ask(ant, backend, TALK, stream=True)
        next(iter(stream))
        stream.close()
        backend.fake.wait_for_disconnect(before)
        assert self.ask(ant, backend, "again").content[0].text == "You said: again"

    def test_a_client_that_has_waited_long_enough_stops_the_provider(self, ant, backend):
        before = backend.fake.disconnects()
        with pytest.raises(anthropic.APITimeoutError):
            self.ask(ant.with_options(timeout=PATIENCE), backend, SILENCE)
        backend.fake.wait_for_disconnect(before)

    def test_a_cancelled_task_stops_the_provider(self, anthropic_options, backend):
        async def main():
            async with anthropic.AsyncAnthropic(**anthropic_options) as client:
                await asyncio.wait_for(self.ask(client, backend, SILENCE), PATIENCE)

        before = backend.fake.disconnects()
        with pytest.raises(asyncio.TimeoutError):
            asyncio.run(main())
        backend.fake.wait_for_disconnect(before)

    def test_a_stream_that_is_left_by_an_exception_stops_the_provider(self, ant, backend):
        before = backend.fake.disconnects()
        with pytest.raises(ZeroDivisionError):
            with ant.messages.stream(
                model=backend.model, max_tokens=1024, messages=say(TALK)
            ) as stream:
                for _ in stream:
                    raise ZeroDivisionError
        backend.fake.wait_for_disconnect(before)
