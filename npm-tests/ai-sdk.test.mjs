// Vercel's AI SDK, with the providers that it has for three vendors.

import assert from "node:assert/strict";
import { after, before, test } from "node:test";

import { createAnthropic } from "@ai-sdk/anthropic";
import { createGoogleGenerativeAI } from "@ai-sdk/google";
import { createOpenAI } from "@ai-sdk/openai";
import { APICallError, generateObject, generateText, stepCountIs, streamText, tool } from "ai";
import { z } from "zod";

import { BACKENDS, MASTER_KEY, World } from "./harness.mjs";

// The names of models here say nothing to it.
globalThis.AI_SDK_LOG_WARNINGS = false;

let world;
let vendors;
before(async () => {
  world = await World.start();
  const openai = createOpenAI({ baseURL: `${world.url}/v1`, apiKey: MASTER_KEY });
  const anthropic = createAnthropic({ baseURL: `${world.url}/v1`, apiKey: MASTER_KEY });
  const google = createGoogleGenerativeAI({ baseURL: `${world.url}/v1beta`, apiKey: MASTER_KEY });
  vendors = {
    "openai chat": (model) => openai.chat(model),
    "openai responses": (model) => openai.responses(model),
    anthropic: (model) => anthropic(model),
    google: (model) => google(model),
  };
});
after(() => world?.stop());

const weather = tool({
  description: "Weather",
  inputSchema: z.object({ city: z.string() }),
  execute: async ({ city }) => `sunny in ${city}`,
});

for (const vendor of ["openai chat", "openai responses", "anthropic", "google"]) {
  for (const backend of BACKENDS) {
    const model = () => vendors[vendor](backend);

    test(`${vendor} over ${backend}: text`, async () => {
      const reply = await generateText({ model: model(), prompt: "Hello there", maxRetries: 0 });
      assert.equal(reply.text, "You said: Hello there");
      assert.equal(reply.finishReason, "stop");
      assert.ok(reply.usage.totalTokens > 0);
      const stream = streamText({ model: model(), prompt: "Hello there", maxRetries: 0 });
      let text = "";
      for await (const piece of stream.textStream) text += piece;
      assert.equal(text, "You said: Hello there");
      assert.equal(await stream.finishReason, "stop");
    });

    test(`${vendor} over ${backend}: a tool is called and its result is read`, async () => {
      const ask = {
        model: model(),
        prompt: "[tool] city=Ur",
        tools: { get_weather: weather },
        stopWhen: stepCountIs(2),
        maxRetries: 0,
      };
      const reply = await generateText(ask);
      assert.deepEqual(reply.steps[0].toolCalls[0].input, { city: "Ur" });
      assert.match(reply.text, /The tool said: .*sunny in Ur/);
      const stream = streamText(ask);
      let text = "";
      for await (const piece of stream.textStream) text += piece;
      assert.match(text, /The tool said: .*sunny in Ur/);
    });

    test(`${vendor} over ${backend}: an object of a schema`, async () => {
      const schema = z.object({ name: z.string(), count: z.number() });
      const reply = await generateObject({ model: model(), schema, prompt: "x", maxRetries: 0 });
      assert.equal(typeof reply.object.name, "string");
      assert.equal(typeof reply.object.count, "number");
    });

    test(`${vendor} over ${backend}: a failure has its status`, async () => {
      const ask = generateText({ model: model(), prompt: "[error:429:7]", maxRetries: 0 });
      await assert.rejects(ask, (error) => APICallError.isInstance(error) && error.statusCode === 429);
    });
  }
}
