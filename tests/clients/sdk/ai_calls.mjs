// The AI SDK, served by Gemini; what came back, as JSON.
// node ai_calls.mjs '{"base_url": ..., "calls": [...]}'

import { createOpenAI } from "@ai-sdk/openai";
import { generateText, stepCountIs, streamText, tool } from "ai";
import { z } from "zod";

const asked = JSON.parse(process.argv[2]);
const openai = createOpenAI({ baseURL: asked.base_url, apiKey: "sk-nobody" });
const name = "gemini-3-flash-preview";
const weather = tool({
  description: "The weather in a city.",
  inputSchema: z.object({ city: z.string() }),
  execute: async ({ city }) => `Sunny in ${city}`,
});
const told = (model, options = {}) => ({
  model,
  prompt: "Hello, who are you?",
  tools: { weather },
  stopWhen: stepCountIs(3),
  maxRetries: 0,
  ...options,
});
const unstored = { providerOptions: { openai: { store: false } } };

async function failure(call) {
  try {
    await call();
  } catch (error) {
    return error;
  }
}

const calls = {
  chat: async () => (await generateText(told(openai.chat(name)))).text,
  responses: async () => (await generateText(told(openai(name), unstored))).text,
  async stream() {
    const { textStream, steps } = streamText(told(openai(name), unstored));
    let text = "";
    for await (const piece of textStream) text += piece;
    return [text, (await steps).length];
  },
  async stored() {
    const begun = { role: "user", content: "Hello, who are you?" };
    const first = await generateText({ model: openai(name), messages: [begun], maxRetries: 0 });
    const messages = [begun, ...first.response.messages, { role: "user", content: "And then?" }];
    const error = await failure(() => generateText({ model: openai(name), messages, maxRetries: 0 }));
    const cures = ["providerOptions.openai.store", "openai.chat("];
    const again = await generateText({ model: openai(name), messages, maxRetries: 0, ...unstored });
    return [error.statusCode, cures.map((cure) => error.message.includes(cure)), again.text];
  },
};

const answers = {};
for (const call of asked.calls) answers[call] = await calls[call]();
console.log(JSON.stringify(answers));
