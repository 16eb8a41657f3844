// Calls with the real @google/genai SDK; what came back, as JSON.
// node genai_calls.mjs '{"base_url": ..., "auth": "key" | "service_account" | "gemini", "calls": [...]}'

import { GoogleGenAI, Modality } from "@google/genai";

const MODEL = "gemini-2.5-flash";
const asked = JSON.parse(process.argv[2]);
const httpOptions = asked.base_url ? { baseUrl: asked.base_url } : undefined;
const given =
  asked.auth === "service_account"
    ? { project: "test-project", location: "us-central1" }
    : { apiKey: "AIzaSimulatedKey" };
const client = new GoogleGenAI({ vertexai: asked.auth !== "gemini", httpOptions, ...given });

const dump = ({ sdkHttpResponse, ...value }) => ({ ...value });

async function* streamed() {
  for await (const chunk of await client.models.generateContentStream({ model: MODEL, contents: "Hello" })) {
    yield dump(chunk);
  }
}

const calls = {
  generate: async () => dump(await client.models.generateContent({ model: MODEL, contents: "Hello, who are you?" })),
  async stream() {
    const chunks = [];
    for await (const chunk of streamed()) chunks.push(chunk);
    return chunks;
  },
  async chat() {
    const conversation = client.chats.create({ model: MODEL });
    const answers = [];
    for (const message of ["Hello", "And then?"]) answers.push(dump(await conversation.sendMessage({ message })));
    return answers;
  },
  async functions() {
    const parametersJsonSchema = { type: "object", properties: { city: { type: "string" } } };
    const tools = [{ functionDeclarations: [{ name: "weather", parametersJsonSchema }] }];
    const contents = [{ role: "user", parts: [{ text: "The weather in Paris?" }] }];
    const first = await client.models.generateContent({ model: MODEL, contents, config: { tools } });
    const called = first.functionCalls[0];
    contents.push(first.candidates[0].content);
    const functionResponse = { name: called.name, response: { output: "It rains." } };
    contents.push({ role: "user", parts: [{ functionResponse }] });
    const second = await client.models.generateContent({ model: MODEL, contents, config: { tools } });
    return [called, dump(second)];
  },
  count: async () => dump(await client.models.countTokens({ model: MODEL, contents: "Hello there" })),
  compute: async () => dump(await client.models.computeTokens({ model: MODEL, contents: "Hello there" })),
  embed_predict: async () =>
    dump(await client.models.embedContent({ model: "text-embedding-005", contents: ["Hello", "you there"] })),
  embed_content: async () =>
    dump(await client.models.embedContent({ model: "gemini-embedding-2-preview", contents: "Hello there" })),
  images: async () =>
    dump(
      await client.models.generateImages({
        model: "imagen-4.0-generate-001",
        prompt: "A cat",
        config: { numberOfImages: 2 },
      }),
    ),
  async videos() {
    const source = { prompt: "A cat" };
    const config = { numberOfVideos: 1, durationSeconds: 8 };
    let operation = await client.models.generateVideos({ model: "veo-3.0-generate-001", source, config });
    while (!operation.done) operation = await client.operations.getVideosOperation({ operation });
    return operation.response;
  },
  async models() {
    const names = [];
    for await (const model of await client.models.list({ config: { queryBase: true } })) names.push(model.name);
    return names;
  },
  async files() {
    const file = new Blob(["A long text. ".repeat(1000)]);
    const config = { name: "files/report", mimeType: "text/plain", displayName: "Report" };
    const sent = await client.files.upload({ file, config });
    const got = await client.files.get({ name: sent.name });
    await client.files.delete({ name: sent.name });
    return [dump(sent), dump(got)];
  },
  async interactions() {
    const asked = { model: MODEL, input: "Who won?", tools: [{ type: "google_search" }], service_tier: "flex" };
    const answers = [
      await client.interactions.create({ model: MODEL, input: "Hello, who are you?" }),
      await client.interactions.create(asked),
    ];
    const events = [];
    for await (const event of await client.interactions.create({ model: MODEL, input: "Hello", stream: true })) {
      events.push(event);
    }
    await client.interactions.delete(answers[0].id);
    answers.push(events.at(-1).interaction);
    const told = answers.map(({ status, model, usage }) => [status, model, usage]);
    return [...told, ...events.map((event) => event.event_type)];
  },
  async background() {
    const begun = [];
    for (let n = 0; n < 3; n += 1) {
      begun.push(await client.interactions.create({ model: MODEL, input: "Hello there", background: true }));
    }
    const polled = [];
    for (let n = 0; n < 3; n += 1) polled.push(await client.interactions.get(begun[0].id));
    const cancelled = await client.interactions.cancel(begun[1].id);
    const events = [];
    for await (const event of await client.interactions.get(begun[2].id, { stream: true })) events.push(event);
    const answers = [...begun, ...polled, cancelled, events.at(-1).interaction];
    return answers.map(({ status, usage }) => [status, usage]);
  },
  async live() {
    const heard = [];
    let turnEnded;
    const session = await client.live.connect({
      model: "gemini-live-2.5-flash",
      config: { responseModalities: [Modality.TEXT] },
      callbacks: {
        onmessage(message) {
          heard.push(message);
          if (message.serverContent?.turnComplete) turnEnded();
        },
      },
    });
    for (const text of ["Hello", "And then?"]) {
      const ended = new Promise((resolve) => (turnEnded = resolve));
      session.sendClientContent({ turns: [{ role: "user", parts: [{ text }] }], turnComplete: true });
      await ended;
    }
    session.close();
    return heard;
  },
};

const told = {};
for (const name of asked.calls) told[name] = await calls[name]();
console.log(JSON.stringify(told));
