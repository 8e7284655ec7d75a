// OpenAI's client.

import assert from "node:assert/strict";
import { after, before, test } from "node:test";

import OpenAI from "openai";

import { BACKENDS, MASTER_KEY, WEATHER, World } from "./harness.mjs";

let world;
let client;
before(async () => {
  world = await World.start();
  client = new OpenAI({ baseURL: `${world.url}/v1`, apiKey: MASTER_KEY, maxRetries: 0 });
});
after(() => world?.stop());

const user = (content) => [{ role: "user", content }];
const tools = [
  { type: "function", function: { name: "get_weather", description: "Weather", parameters: WEATHER } },
];

for (const model of BACKENDS) {
  test(`${model}: whole`, async () => {
    const reply = await client.chat.completions.create({ model, messages: user("Hello there") });
    assert.equal(reply.choices[0].message.content, "You said: Hello there");
    assert.equal(reply.choices[0].finish_reason, "stop");
    assert.equal(reply.usage.total_tokens, reply.usage.prompt_tokens + reply.usage.completion_tokens);
  });

  test(`${model}: streamed`, async () => {
    const stream = client.chat.completions.stream({
      model,
      messages: user("Hello there"),
      stream_options: { include_usage: true },
    });
    let text = "";
    for await (const chunk of stream) text += chunk.choices[0]?.delta.content ?? "";
    assert.equal(text, "You said: Hello there");
    const final = await stream.finalChatCompletion();
    assert.equal(final.choices[0].message.content, text);
    assert.ok(final.usage.completion_tokens > 0);
  });

  test(`${model}: tools, whole and streamed`, async () => {
    const ask = { model, messages: user("[tool] city=Ur"), tools };
    const reply = await client.chat.completions.create(ask);
    const [call] = reply.choices[0].message.tool_calls;
    assert.equal(call.function.name, "get_weather");
    assert.deepEqual(JSON.parse(call.function.arguments), { city: "Ur" });
    assert.equal(reply.choices[0].finish_reason, "tool_calls");
    const streamed = await client.chat.completions.stream(ask).finalChatCompletion();
    const [other] = streamed.choices[0].message.tool_calls;
    assert.deepEqual(JSON.parse(other.function.arguments), { city: "Ur" });
    const messages = [
      ...ask.messages,
      reply.choices[0].message,
      { role: "tool", tool_call_id: call.id, content: "sunny" },
    ];
    const after = await client.chat.completions.create({ model, messages, tools });
    assert.match(after.choices[0].message.content, /The tool said: sunny/);
  });

  test(`${model}: Responses, whole and streamed`, async () => {
    const reply = await client.responses.create({ model, input: "Hello there" });
    assert.equal(reply.output_text, "You said: Hello there");
    const stream = client.responses.stream({ model, input: "Hello there" });
    let text = "";
    for await (const event of stream) {
      if (event.type === "response.output_text.delta") text += event.delta;
    }
    assert.equal(text, "You said: Hello there");
    const final = await stream.finalResponse();
    assert.equal(final.output[0].content[0].text, text);
    assert.equal(final.status, "completed");
  });

  test(`${model}: a failure is told in OpenAI's words`, async () => {
    const ask = client.chat.completions.create({ model, messages: user("[error:429:7]") });
    await assert.rejects(ask, (error) => {
      assert.ok(error instanceof OpenAI.RateLimitError, `${error}`);
      return true;
    });
    const cut = client.chat.completions.stream({ model, messages: user("[midstream-error] a b c d") });
    await assert.rejects(cut.finalChatCompletion());
  });
}

test("a wrong key, an unknown model, a provider that is not there", async () => {
  const stranger = new OpenAI({ baseURL: `${world.url}/v1`, apiKey: "sk-wrong", maxRetries: 0 });
  const ask = (who, model) => who.chat.completions.create({ model, messages: user("hi") });
  await assert.rejects(ask(stranger, "openai"), OpenAI.AuthenticationError);
  await assert.rejects(ask(client, "nobody"), OpenAI.NotFoundError);
  await assert.rejects(ask(client, "dead"), (error) => error.status === 502);
});
