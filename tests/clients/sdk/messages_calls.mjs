// The @anthropic-ai/sdk, which knows nothing of the proxy but ANTHROPIC_BASE_URL; what came back, as JSON.
// node messages_calls.mjs '{"model": ..., "calls": [...]}'

import Anthropic from "@anthropic-ai/sdk";

const asked = JSON.parse(process.argv[2]);
const client = new Anthropic({ maxRetries: 0 });
const messages = [{ role: "user", content: "Hello, who are you?" }];
const weather = {
  name: "weather",
  description: "The weather in a city.",
  input_schema: { type: "object", properties: { city: { type: "string" } }, required: ["city"] },
};
const thinking = { type: "enabled", budget_tokens: 1024 };
const pixel = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==";
const body = (more) => ({ model: asked.model, max_tokens: 2000, messages, ...more });
const told = (plan) => ({ headers: { "x-simulator": JSON.stringify(plan) } });
const create = (more, options) => client.messages.create(body(more), options);

async function all(events) {
  const heard = [];
  for await (const event of await events) heard.push(event);
  return heard;
}

async function failure(call) {
  try {
    await call();
  } catch (error) {
    return error;
  }
}

const calls = {
  async unary() {
    const message = await create({ system: "Be brief.", stop_sequences: ["STOP"], temperature: 0.5 });
    if (!message._request_id) throw new Error("no request id");
    const { input_tokens, output_tokens } = message.usage;
    return [message.content[0].text, message.stop_reason, input_tokens, output_tokens];
  },
  async stream() {
    const stream = client.messages.stream(body({}));
    const kinds = (await all(stream)).map((event) => event.type);
    const message = await stream.finalMessage();
    return [message.content[0].text, message.stop_reason, message.usage.output_tokens > 0, kinds[0], kinds.at(-1)];
  },
  raw_stream: async () => (await all(create({ stream: true }))).map((event) => event.type),
  async tool_loop() {
    const history = [...messages];
    const heard = [];
    for (let turn = 0; turn < 4; turn++) {
      const stream = client.messages.stream(body({ messages: history, tools: [weather], thinking }));
      const message = await stream.finalMessage();
      heard.push([message.stop_reason, message.content.map((block) => block.type)]);
      history.push({ role: "assistant", content: message.content });
      const used = message.content.filter((block) => block.type === "tool_use");
      if (!used.length) return [...heard, message.content.at(-1).text];
      const results = used.map((call, number) => ({
        type: "tool_result",
        tool_use_id: call.id,
        is_error: number > 0,
        content: [{ type: "text", text: `Sunny in ${call.input.city}` }],
      }));
      history.push({ role: "user", content: results });
    }
    throw new Error("it does not end");
  },
  async image() {
    const source = { type: "base64", media_type: "image/png", data: pixel };
    const content = [{ type: "image", source }, { type: "text", text: "What is it?" }];
    return (await create({ messages: [{ role: "user", content }] })).stop_reason;
  },
  async count() {
    return (await client.messages.countTokens({ model: asked.model, messages, tools: [weather] })).input_tokens;
  },
  async models() {
    const listed = [];
    for await (const model of client.models.list()) listed.push([model.id, model.type, model.display_name]);
    return [listed[0], (await client.models.retrieve(listed[0][0])).id];
  },
  async errors() {
    const heard = {};
    for (const status of [400, 401, 403, 404, 429, 503]) {
      const error = await failure(() => create({}, told({ status })));
      heard[status] = [error.error.error.type, error.status, Boolean(error.requestID), typeof error.error === "object"];
    }
    return heard;
  },
  async bad_input() {
    const error = await failure(() => create({ messages: [{ role: "user", content: [{ type: "text" }] }] }));
    return [error.error.error.type, error.error.error.message];
  },
  async broken_stream() {
    const error = await failure(async () => all(create({ stream: true }, told({ cut: 1, events: 3 }))));
    return error instanceof Anthropic.APIError;
  },
};

const answers = {};
for (const name of asked.calls) answers[name] = await calls[name]();
console.log(JSON.stringify(answers));
