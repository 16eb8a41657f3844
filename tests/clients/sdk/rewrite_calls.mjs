// The openai SDK, served by Gemini; what came back, as JSON.
// node rewrite_calls.mjs '{"base_url": ..., "calls": [...]}'

import OpenAI from "openai";
import { zodResponseFormat } from "openai/helpers/zod";
import { z } from "zod";

const asked = JSON.parse(process.argv[2]);
const client = new OpenAI({ baseURL: asked.base_url, apiKey: "sk-nobody", maxRetries: 0 });
const gemini25 = "gemini-2.5-flash";
const gemini3 = "gemini-3-flash-preview";
const messages = [
  { role: "system", content: "Be brief." },
  { role: "user", content: "Hello, who are you?" },
];
const parameters = {
  type: "object",
  properties: { city: { type: "string" } },
  required: ["city"],
  additionalProperties: false,
};
const weather = { type: "function", function: { name: "weather", description: "The weather in a city.", parameters } };
const pixel = Buffer.from("\x89PNG\r\n\x1a\n", "latin1").toString("base64");

const told = (plan) => ({ headers: { "x-simulator": JSON.stringify(plan) } });

async function all(events) {
  const heard = [];
  for await (const event of await events) heard.push(event);
  return heard;
}

function joined(chunks) {
  const choices = chunks.flatMap((chunk) => chunk.choices);
  return [
    choices.map((choice) => choice.delta.content ?? "").join(""),
    choices.map((choice) => choice.finish_reason).filter(Boolean),
    chunks.map((chunk) => chunk.usage).filter(Boolean),
    new Set(chunks.map((chunk) => chunk.id)).size,
  ];
}

async function failure(call) {
  try {
    await call();
  } catch (error) {
    return error;
  }
}

const create = (body, options) => client.chat.completions.create({ model: gemini25, messages, ...body }, options);

const calls = {
  chat: () => create({}),
  stream: async () => joined(await all(create({ stream: true }))),
  stream_usage: async () => joined(await all(create({ stream: true, stream_options: { include_usage: true } }))),
  async parse() {
    const response_format = zodResponseFormat(z.object({ answer: z.number() }), "reply");
    const answer = await client.chat.completions.parse({ model: gemini25, messages, response_format });
    return answer.choices[0].message.parsed.answer;
  },
  async tools() {
    const body = { model: gemini3, tools: [weather] };
    const first = (await create(body, told({ calls: 2 }))).choices[0];
    const results = first.message.tool_calls
      .map((call) => ({ role: "tool", tool_call_id: call.id, content: JSON.stringify({ weather: "fine" }) }))
      .reverse();
    const second = (await create({ ...body, messages: [...messages, first.message, ...results] })).choices[0];
    const cities = first.message.tool_calls.map((call) => JSON.parse(call.function.arguments).city);
    return [first.finish_reason, cities, second.finish_reason, second.message.content];
  },
  async tools_stream() {
    const chunks = await all(create({ model: gemini3, tools: [weather], stream: true }, told({ calls: 3 })));
    const deltas = chunks.flatMap((chunk) => chunk.choices).flatMap((choice) => choice.delta.tool_calls ?? []);
    return [deltas.map((d) => d.index), new Set(deltas.map((d) => d.id)).size, joined(chunks)[1]];
  },
  async media() {
    const urls = [
      "https://images.example/a.jpg?size=large",
      `data:image/png;base64,${pixel}`,
      `data:video/mp4;base64,${pixel}`,
    ];
    const parts = urls.map((url) => ({ type: "image_url", image_url: { url } }));
    const content = [{ type: "text", text: "What is it?" }, ...parts];
    return (await create({ model: gemini3, messages: [{ role: "user", content }] })).usage.prompt_tokens;
  },
  async reasoning() {
    const answer = await create({ model: gemini3, reasoning_effort: "low" });
    return [answer.choices[0].message.reasoning_content, answer.usage.completion_tokens_details.reasoning_tokens];
  },
  async several() {
    const { choices } = await create({ n: 2 });
    return choices.map((choice) => [choice.index, choice.finish_reason, choice.message.content]);
  },
  async logprobs() {
    const tokens = (await create({ logprobs: true, top_logprobs: 2 })).choices[0].logprobs.content;
    return tokens.map((token) => [token.token, token.logprob, token.bytes, token.top_logprobs.length]);
  },
  async errors() {
    const classes = {};
    for (const status of [400, 401, 403, 404, 429, 503]) {
      const error = await failure(() => create({}, told({ status })));
      classes[error.status] = error.constructor.name;
    }
    return classes;
  },
  async broken_streams() {
    const classes = [];
    for (const plan of [{ error_after: 1 }, { cut: 1 }, { stop_after: 1 }]) {
      const reasons = [];
      const error = await failure(async () => {
        for await (const chunk of await create({ stream: true }, told(plan)))
          reasons.push(...chunk.choices.map((choice) => choice.finish_reason).filter(Boolean));
      });
      classes.push([error.constructor.name, reasons]);
    }
    return classes;
  },
  async bad_input() {
    const error = await failure(() => create({ messages: [{ role: "user", content: [{ type: "smell" }] }] }));
    return [error.type, error.param];
  },
};

const answers = {};
for (const name of asked.calls) answers[name] = await calls[name]();
console.log(JSON.stringify(answers));
