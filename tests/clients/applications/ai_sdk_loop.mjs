// The AI SDK: an agent with a tool, streamed. The argument: one of PROVIDERS.
import { text } from "node:stream/consumers";
import { createVertex } from "@ai-sdk/google-vertex";
import { openai } from "@ai-sdk/openai";
import { createOpenAICompatible } from "@ai-sdk/openai-compatible";
import { stepCountIs, streamText, tool } from "ai";
import { z } from "zod";

const { OPENAI_API_KEY: apiKey, OPENAI_BASE_URL: baseURL, URL: url } = process.env;
const PROVIDERS = {
  chat: (model) => openai.chat(model),
  responses: (model) => openai(model),
  compatible: (model) => createOpenAICompatible({ name: "tap", apiKey, baseURL, includeUsage: true })(model),
  vertex: (model) => createVertex({ apiKey, baseURL: `${url}/v1/publishers/google` })(model),
};

const [, , model, provider] = process.argv;
const run = streamText({
  model: PROVIDERS[provider](model),
  prompt: await text(process.stdin),
  stopWhen: stepCountIs(5),
  onError: ({ error }) => console.error(error),
  tools: {
    add: tool({
      description: "Adds two numbers.",
      inputSchema: z.object({ a: z.number(), b: z.number() }),
      execute: async ({ a, b }) => `result-${a + b}`,
    }),
  },
  providerOptions: { openai: { store: false } },
});
console.log(await run.text);
if (!(await run.totalUsage).outputTokens) throw new Error("no usage");
