// Anthropic's client.

import assert from "node:assert/strict";
import { after, before, test } from "node:test";

import Anthropic from "@anthropic-ai/sdk";

import { BACKENDS, MASTER_KEY, WEATHER, World } from "./harness.mjs";

let world;
let client;
before(async () => {
  world = await World.start();
  client = new Anthropic({ baseURL: world.url, apiKey: MASTER_KEY, maxRetries: 0 });
});
after(() => world?.stop());

const user = (content) => [{ role: "user", content }];
const tools = [{ name: "get_weather", description: "Weather", input_schema: WEATHER }];

for (const model of BACKENDS) {
  test(`${model}: whole`, async () => {
    const reply = await client.messages.create({
      model,
      max_tokens: 100,
      messages: user("Hello there"),
    });
    assert.deepEqual(
      reply.content.map((block) => block.text),
      ["You said: Hello there"],
    );
    assert.equal(reply.stop_reason, "end_turn");
    assert.ok(reply.usage.input_tokens > 0 && reply.usage.output_tokens > 0);
  });

  test(`${model}: streamed`, async () => {
    const stream = client.messages.stream({
      model,
      max_tokens: 100,
      messages: user("Hello there"),
    });
    let text = "";
    stream.on("text", (piece) => (text += piece));
    const final = await stream.finalMessage();
    assert.equal(text, "You said: Hello there");
    assert.equal(final.content[0].text, text);
    assert.equal(final.stop_reason, "end_turn");
  });

  test(`${model}: tools, whole and streamed`, async () => {
    const ask = { model, max_tokens: 100, messages: user("[tool] city=Ur"), tools };
    const reply = await client.messages.create(ask);
    const call = reply.content.find((block) => block.type === "tool_use");
    assert.deepEqual([call.name, call.input], ["get_weather", { city: "Ur" }]);
    assert.equal(reply.stop_reason, "tool_use");
    const streamed = await client.messages.stream(ask).finalMessage();
    const other = streamed.content.find((block) => block.type === "tool_use");
    assert.deepEqual(other.input, { city: "Ur" });
    const messages = [
      ...ask.messages,
      { role: "assistant", content: reply.content },
      { role: "user", content: [{ type: "tool_result", tool_use_id: call.id, content: "sunny" }] },
    ];
    const after = await client.messages.create({ model, max_tokens: 100, messages, tools });
    assert.match(after.content[0].text, /The tool said: sunny/);
  });

  test(`${model}: a failure is told in Anthropic's words`, async () => {
    const ask = client.messages.create({ model, max_tokens: 100, messages: user("[error:429:7]") });
    await assert.rejects(ask, Anthropic.RateLimitError);
    const cut = client.messages.stream({
      model,
      max_tokens: 100,
      messages: user("[midstream-error] a b c d"),
    });
    await assert.rejects(cut.finalMessage());
  });
}

test("tokens are counted, a wrong key is refused", async () => {
  const count = await client.messages.countTokens({ model: "anthropic", messages: user("a b c") });
  assert.ok(count.input_tokens > 0);
  const stranger = new Anthropic({ baseURL: world.url, apiKey: "sk-wrong", maxRetries: 0 });
  const ask = stranger.messages.create({ model: "openai", max_tokens: 9, messages: user("hi") });
  await assert.rejects(ask, Anthropic.AuthenticationError);
});
