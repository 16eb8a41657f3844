// Calls with the real openai SDK; what came back, as JSON.
// node openai_calls.mjs '{"base_url": ..., "calls": [...]}'

import OpenAI, { toFile } from "openai";

const asked = JSON.parse(process.argv[2]);
const client = new OpenAI({ baseURL: asked.base_url, apiKey: "sk-simulated", maxRetries: 0 });
const model = "gpt-4o";
const messages = [{ role: "user", content: "Hello, who are you?" }];
const png = Buffer.from(
  "89504e470d0a1a0a0000000d4948445200000001000000010802000000907753de0000000c494441" +
    "54789c636870500000022400e1ab5962270000000049454e44ae426082",
  "hex",
);
const hello = { model: "gpt-5", input: "Hello there" };

async function all(events) {
  const heard = [];
  for await (const event of await events) heard.push(event);
  return heard;
}

const calls = {
  chat: () => client.chat.completions.create({ model, messages }),
  stream: () => all(client.chat.completions.create({ model, messages, stream: true })),
  stream_usage: () =>
    all(client.chat.completions.create({ model, messages, stream: true, stream_options: { include_usage: true } })),
  responses: () => client.responses.create(hello),
  responses_stream: () => all(client.responses.create({ ...hello, stream: true })),
  async background() {
    const asked = { ...hello, background: true };
    const [begun, other] = [await client.responses.create(asked), await client.responses.create(asked)];
    const polled = [];
    for (let n = 0; n < 3; n += 1) polled.push(await client.responses.retrieve(begun.id));
    const cancelled = await client.responses.cancel(other.id);
    const events = await all(client.responses.create({ ...asked, stream: true }));
    const { id } = events.at(-1).response;
    const again = await all(client.responses.retrieve(id, { stream: true, starting_after: 1 }));
    const answers = [begun, ...polled, cancelled, events.at(-1).response, again.at(-1).response];
    return answers.map(({ status, usage }) => [status, usage]);
  },
  embeddings: () => client.embeddings.create({ model: "text-embedding-3-small", input: ["Hello", "you there"] }),
  images: () => client.images.generate({ model: "gpt-image-1", prompt: "A cat", n: 2 }),
  async edit() {
    const image = await toFile(png, "a.png", { type: "image/png" });
    return client.images.edit({ model: "gpt-image-1", prompt: "As a painting", image });
  },
  models: () => all(client.models.list()),
  async unauthorised() {
    try {
      await client.withOptions({ apiKey: "sk-wrong" }).chat.completions.create({ model, messages });
    } catch (error) {
      return [error.status, error.code, error.message];
    }
  },
};

const told = {};
for (const name of asked.calls) told[name] = await calls[name]();
console.log(JSON.stringify(told));
