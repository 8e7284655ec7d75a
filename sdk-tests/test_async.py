"""Both asynchronous clients: many calls at once do not mix."""

import asyncio

import anthropic
import openai
import pytest

CALLS = 24


def prompts() -> list[str]:
    return [f"call {index} " + "word " * index for index in range(CALLS)]


def say(text: str) -> list[dict]:
    return [{"role": "user", "content": text.strip()}]


class TestOpenAI:
    CLIENT = "openai"

    def test_many_answers_and_streams_at_once(self, openai_options, backend):
        async def whole(client, text):
            reply = await client.chat.completions.create(model=backend.model, messages=say(text))
            return reply.choices[0].message.content

        async def streamed(client, text):
            stream = await client.chat.completions.create(
                model=backend.model, messages=say(text), stream=True
            )
            parts = [c.choices[0].delta.content or "" async for c in stream if c.choices]
            return "".join(parts)

        async def main():
            async with openai.AsyncOpenAI(**openai_options) as client:
                calls = [how(client, text) for text in prompts() for how in (whole, streamed)]
                return await asyncio.gather(*calls)

        expected = [f"You said: {text.strip()}" for text in prompts() for _ in range(2)]
        assert asyncio.run(main()) == expected

    def test_a_cancelled_stream_does_no_harm(self, openai_options, backend):
        async def main():
            async with openai.AsyncOpenAI(**openai_options) as client:
                text = "[slow:50] one two three four five six seven eight nine ten"
                stream = await client.chat.completions.create(
                    model=backend.model, messages=say(text), stream=True
                )

                async def read():
                    async for _ in stream:
                        pass

                with pytest.raises(asyncio.TimeoutError):
                    await asyncio.wait_for(read(), 0.12)
                reply = await client.chat.completions.create(
                    model=backend.model, messages=say("after")
                )
                return reply.choices[0].message.content

        assert asyncio.run(main()) == "You said: after"

    def test_errors_are_raised(self, openai_options, backend):
        async def main():
            async with openai.AsyncOpenAI(**openai_options) as client:
                with pytest.raises(openai.RateLimitError):
                    await client.chat.completions.create(
                        model=backend.model, messages=say("[error:429]")
                    )

        asyncio.run(main())


class TestAnthropic:
    CLIENT = "anthropic"

    def test_many_answers_and_streams_at_once(self, anthropic_options, backend):
        async def whole(client, text):
            reply = await client.messages.create(
                model=backend.model, max_tokens=1024, messages=say(text)
            )
            return reply.content[0].text

        async def streamed(client, text):
            async with client.messages.stream(
                model=backend.model, max_tokens=1024, messages=say(text)
            ) as stream:
                return await stream.get_final_text()

        async def main():
            async with anthropic.AsyncAnthropic(**anthropic_options) as client:
                calls = [how(client, text) for text in prompts() for how in (whole, streamed)]
                return await asyncio.gather(*calls)

        expected = [f"You said: {text.strip()}" for text in prompts() for _ in range(2)]
        assert asyncio.run(main()) == expected

    def test_errors_are_raised(self, anthropic_options, backend):
        async def main():
            async with anthropic.AsyncAnthropic(**anthropic_options) as client:
                with pytest.raises(anthropic.RateLimitError):
                    await client.messages.create(
                        model=backend.model, max_tokens=64, messages=say("[error:429]")
                    )

        asyncio.run(main())
