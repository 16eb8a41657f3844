// The openai SDK's other clients, and its chat with Claude, served by Vertex AI; what came back, as JSON.
// node surface_calls.mjs '{"base_url": ..., "calls": [...]}'

import zlib from "node:zlib";
import OpenAI, { toFile } from "openai";
import { zodResponseFormat, zodTextFormat } from "openai/helpers/zod";
import { z } from "zod";

const asked = JSON.parse(process.argv[2]);
const client = new OpenAI({ baseURL: asked.base_url, apiKey: "sk-nobody", maxRetries: 0 });
const gemini3 = "gemini-3-flash-preview";
const gemini25 = "gemini-2.5-flash";
const claude = "claude-sonnet-4-5@20250929";
const painter = "gemini-3-pro-image-preview";
const imagen = "imagen-4.0-generate-001";
const veo = "veo-3.0-generate-001";
const hello = "Hello, who are you?";
const messages = [
  { role: "system", content: "Be brief." },
  { role: "user", content: hello },
];
const parameters = {
  type: "object",
  properties: { city: { type: "string" } },
  required: ["city"],
  additionalProperties: false,
};
const described = { name: "weather", description: "The weather in a city.", parameters };
const weather = { type: "function", ...described };
const chatWeather = { type: "function", function: described };
const reply = z.object({ answer: z.number() });

const told = (plan) => ({ headers: { "x-simulator": JSON.stringify(plan) } });

async function all(events) {
  const heard = [];
  for await (const event of await events) heard.push(event);
  return heard;
}

function chunk(kind, data) {
  const body = Buffer.concat([Buffer.from(kind), data]);
  const size = Buffer.alloc(4);
  size.writeUInt32BE(data.length);
  const sum = Buffer.alloc(4);
  sum.writeUInt32BE(zlib.crc32(body));
  return Buffer.concat([size, body, sum]);
}

// A picture; with a hole its left columns are transparent.
function png(width, height, hole = 0) {
  const header = Buffer.alloc(13);
  header.writeUInt32BE(width, 0);
  header.writeUInt32BE(height, 4);
  header.set([8, 6, 0, 0, 0], 8);
  const pixels = Array.from({ length: width }, (_, x) => [0x80, 0x40, 0x20, x < hole ? 0 : 255]);
  const row = [0, ...pixels.flat()];
  const rows = Buffer.from(Array.from({ length: height }, () => row).flat());
  const start = Buffer.from("\x89PNG\r\n\x1a\n", "latin1");
  const data = zlib.deflateSync(rows);
  return Buffer.concat([start, chunk("IHDR", header), chunk("IDAT", data), chunk("IEND", Buffer.alloc(0))]);
}

const file = (width = 64, height = 48, hole = 0) =>
  toFile(png(width, height, hole), "a.png", { type: "image/png" });

// The format and the size of each.
const pictures = (answer) => answer.data.map((image) => picture(Buffer.from(image.b64_json, "base64")));

function picture(data) {
  if (data.subarray(1, 4).toString() === "PNG") return `png ${data.readUInt32BE(16)}x${data.readUInt32BE(20)}`;
  return { "\xff\xd8": "jpeg", RI: "webp" }[data.subarray(0, 2).toString("latin1")];
}

async function failure(call) {
  try {
    await call();
  } catch (error) {
    return [error.constructor.name, Boolean(error.error?.message)];
  }
  return null;
}

const generate = (body) => client.images.generate(body);
const vectors = ({ data }) => data.map((item) => [item.index, item.embedding.length, item.embedding.slice(0, 2)]);
const embeddings = (body) => client.embeddings.create({ model: "text-embedding-005", ...body });
const raw = async (promise) => (await promise.asResponse()).json();

// Two rounds, with two calls at once; what the SDK gave goes back as it is.
async function rounds(model, options = {}) {
  const body = { model, tools: [weather], ...options };
  const history = [{ role: "user", content: "The weather in two cities?" }];
  const first = await client.responses.create({ ...body, input: history }, told({ calls: 2 }));
  const called = first.output.filter((item) => item.type === "function_call");
  const results = called.map(({ call_id }) => ({ type: "function_call_output", call_id, output: "fine" }));
  const second = await client.responses.create({ ...body, input: [...history, ...first.output, ...results] });
  return [called.map((call) => JSON.parse(call.arguments).city), second.output_text, first];
}

async function chatRounds(options = {}) {
  const body = { model: claude, tools: [chatWeather], ...options };
  const first = (await client.chat.completions.create({ ...body, messages }, told({ calls: 2 }))).choices[0];
  const results = first.message.tool_calls
    .map((call) => ({ role: "tool", tool_call_id: call.id, content: "fine" }))
    .reverse();
  const history = [...messages, first.message, ...results];
  const second = (await client.chat.completions.create({ ...body, messages: history })).choices[0];
  const cities = first.message.tool_calls.map((call) => JSON.parse(call.function.arguments).city);
  const thought = first.message.reasoning_content ?? null;
  return [first.finish_reason, cities, second.finish_reason, second.message.content, thought];
}

async function finished(video) {
  while (["queued", "in_progress"].includes(video.status)) {
    await new Promise((resolve) => setTimeout(resolve, 10));
    video = await client.videos.retrieve(video.id);
  }
  return video;
}

const calls = {
  // Images
  async image() {
    const answer = await generate({ model: painter, prompt: "A cute cat", size: "1024x1024", n: 1 });
    const { input_tokens, output_tokens, total_tokens } = answer.usage;
    return [pictures(answer), input_tokens, output_tokens, total_tokens];
  },
  async image_sizes() {
    const wanted = ["auto", "1792x1024", "1024x1536", "2560x1080"].map((size) => [painter, size]);
    wanted.push(["gemini-2.5-flash-image", "1536x1024"], [imagen, "1024x1024"]);
    const made = [];
    for (const [model, size] of wanted) made.push(pictures(await generate({ model, size, prompt: "A cat" }))[0]);
    return made;
  },
  async images_several() {
    const made = [];
    for (const [model, n] of [[painter, 3], [imagen, 6]])
      made.push(pictures(await generate({ model, n, prompt: "A cat" })).length);
    return made;
  },
  async image_format() {
    const made = [];
    for (const model of [painter, imagen]) {
      const body = { model, prompt: "A cat", output_format: "jpeg", output_compression: 80 };
      made.push(pictures(await generate(body))[0]);
    }
    return made;
  },
  async image_refused() {
    const made = [];
    for (const model of [painter, imagen])
      made.push(await failure(() => generate({ model, prompt: "A forbidden cat" })));
    return made;
  },
  async edit() {
    const body = { model: painter, prompt: "As a painting", image: await file(), size: "1024x1024", n: 1 };
    return pictures(await client.images.edit(body));
  },
  async edit_several() {
    const image = [await file(), await file(32, 32)];
    return pictures(await client.images.edit({ model: painter, prompt: "Both in one", image }));
  },
  async edit_masked() {
    const [image, mask] = [await file(), await file(64, 48, 16)];
    return pictures(await client.images.edit({ model: "imagen-3.0-capability-001", prompt: "A hat", image, mask }));
  },
  async variation() {
    const body = { model: painter, image: await file(), size: "1792x1024", n: 1 };
    return pictures(await client.images.createVariation(body));
  },

  // Embeddings
  async embed() {
    const answer = await embeddings({ input: "Hello there" });
    return [vectors(answer), answer.usage];
  },
  async embed_list() {
    const answer = await embeddings({ input: ["one", "two words", "three words here"], dimensions: 64 });
    return [vectors(answer), answer.usage];
  },
  async embed_floats() {
    const body = { input: ["one", "two"], dimensions: 8, encoding_format: "float" };
    return (await raw(embeddings(body))).data.map((item) => item.embedding.slice(0, 2));
  },
  async embed_base64() {
    const body = { input: "one", dimensions: 2, encoding_format: "base64" };
    const bytes = Buffer.from((await raw(embeddings(body))).data[0].embedding, "base64");
    return [bytes.readFloatLE(0), bytes.readFloatLE(4)];
  },
  async embed_one_by_one() {
    const made = [];
    for (const model of ["gemini-embedding-001", "gemini-embedding-2-preview"])
      made.push(vectors(await embeddings({ model, input: ["one", "two words"], dimensions: 16 })));
    return made;
  },
  async embed_many() {
    const input = Array.from({ length: 300 }, (_, n) => `text ${n}`);
    const answer = await embeddings({ input, dimensions: 4 });
    return [answer.data.length, vectors(answer)[299], answer.usage.prompt_tokens];
  },

  // Responses
  async respond() {
    const answer = await client.responses.create({ model: gemini25, input: hello, instructions: "Be brief." });
    const { input_tokens, output_tokens, total_tokens } = answer.usage;
    return [answer.status, answer.output_text, input_tokens, output_tokens, total_tokens];
  },
  async respond_stream() {
    const events = await all(client.responses.create({ model: gemini25, input: hello, stream: true }));
    const deltas = events.filter((event) => event.type === "response.output_text.delta");
    const inOrder = events.every((event, n) => event.sequence_number === n);
    const content = events.at(-1).response.output.flatMap((item) => item.content ?? []);
    const text = (parts) => parts.join("");
    const whole = text(content.map((part) => part.text));
    return [events[0].type, events.at(-1).type, text(deltas.map((event) => event.delta)), inOrder, whole];
  },
  async respond_events() {
    const stream = client.responses.stream({ model: gemini25, input: hello });
    const kinds = (await all(stream)).map((event) => event.type);
    return [kinds[0], kinds.at(-1), (await stream.finalResponse()).output_text];
  },
  async respond_parse() {
    const text = { format: zodTextFormat(reply, "reply") };
    const answer = await client.responses.parse({ model: gemini25, input: "6 times 7?", text });
    return answer.output_parsed.answer;
  },
  async respond_tools() {
    const made = [];
    for (const model of [gemini3, claude]) made.push((await rounds(model)).slice(0, 2));
    return made;
  },
  async respond_reasoning() {
    const options = {
      reasoning: { effort: "low", summary: "auto" },
      include: ["reasoning.encrypted_content"],
      store: false,
      max_output_tokens: 4096,
    };
    const made = [];
    for (const model of [gemini3, claude]) {
      const [cities, text, first] = await rounds(model, options);
      const reasoning = first.output.filter((item) => item.type === "reasoning");
      const summaries = reasoning.flatMap((item) => item.summary).map((part) => part.text);
      made.push([cities, text, summaries, reasoning.some((item) => item.encrypted_content)]);
    }
    return made;
  },
  async respond_search() {
    const body = { model: gemini25, input: "What is new?", tools: [{ type: "web_search" }] };
    const answer = await client.responses.create(body);
    const contents = answer.output.filter((item) => item.type === "message").flatMap((item) => item.content);
    const citations = contents.flatMap((part) => part.annotations).map((note) => [note.url, note.title]);
    return [answer.output_text, answer.output[0].type, citations];
  },
  async respond_claude() {
    const answer = await client.responses.create({ model: claude, input: hello });
    const events = await all(client.responses.create({ model: claude, input: hello, stream: true }));
    const content = events.at(-1).response.output.flatMap((item) => item.content ?? []);
    return [answer.status, answer.output_text, events.at(-1).type, content.map((part) => part.text).join("")];
  },
  respond_previous: () =>
    failure(() => client.responses.create({ model: gemini25, input: "And?", previous_response_id: "resp_1" })),

  // Chat with Claude
  async claude() {
    const { choices, usage } = await client.chat.completions.create({ model: claude, messages });
    const total = usage.total_tokens === usage.prompt_tokens + usage.completion_tokens;
    const { message, finish_reason } = choices[0];
    return [message.content, finish_reason, usage.prompt_tokens_details.cached_tokens, total];
  },
  async claude_stream() {
    const body = { model: claude, messages, stream: true, stream_options: { include_usage: true } };
    const chunks = await all(client.chat.completions.create(body));
    const choices = chunks.flatMap((chunk) => chunk.choices);
    const text = choices.map((choice) => choice.delta.content ?? "").join("");
    const reasons = choices.map((choice) => choice.finish_reason).filter(Boolean);
    return [text, reasons, chunks.at(-1).usage.completion_tokens];
  },
  async claude_parse() {
    const response_format = zodResponseFormat(reply, "reply");
    const answer = await client.chat.completions.parse({ model: claude, messages, response_format });
    return answer.choices[0].message.parsed.answer;
  },
  claude_tools: () => chatRounds(),
  claude_thinking: () => chatRounds({ reasoning_effort: "low", max_completion_tokens: 4096 }),
  async claude_tools_stream() {
    const body = { model: claude, tools: [chatWeather], messages, stream: true };
    const chunks = await all(client.chat.completions.create(body, told({ calls: 2 })));
    const choices = chunks.flatMap((chunk) => chunk.choices);
    const written = [];
    for (const delta of choices.flatMap((choice) => choice.delta.tool_calls ?? []))
      written[delta.index] = (written[delta.index] ?? "") + (delta.function.arguments ?? "");
    const reasons = choices.map((choice) => choice.finish_reason).filter(Boolean);
    return [written.map((text) => JSON.parse(text).city), reasons];
  },

  // Videos
  async video() {
    const made = await client.videos.create({ model: veo, prompt: "A cat", seconds: "8", size: "1280x720" });
    const done = await finished(made);
    const content = Buffer.from(await (await client.videos.downloadContent(done.id)).arrayBuffer());
    return [done.id === made.id, done.status, done.model, done.seconds, done.size, content.toString("base64")];
  },
  async video_of_image() {
    const input_reference = await file();
    const body = { model: veo, prompt: "It moves", seconds: "4", size: "720x1280", input_reference };
    return (await finished(await client.videos.create(body))).status;
  },
  async video_refused() {
    const done = await finished(await client.videos.create({ model: veo, prompt: "A forbidden cat", seconds: "8" }));
    const failed = await failure(() => client.videos.downloadContent(done.id));
    return [done.status, Boolean(done.error.message), failed];
  },

  // Models, and what there is none of
  models: async () => (await all(client.models.list())).map((model) => model.id).sort(),
  async model() {
    const found = await client.models.retrieve("gemini-2.5-flash");
    return [found.id, found.object, await failure(() => client.models.retrieve("gemini-unknown"))];
  },
  async unsupported() {
    const batch = { completion_window: "24h", endpoint: "/v1/chat/completions", input_file_id: "file-1" };
    const sound = await toFile(Buffer.from("RIFF"), "a.wav");
    const lines = await toFile(Buffer.from("{}"), "a.jsonl");
    const tried = {
      completions: () => client.completions.create({ model: gemini25, prompt: "Hello" }),
      speech: () => client.audio.speech.create({ model: gemini25, voice: "alloy", input: "Hello" }),
      transcriptions: () => client.audio.transcriptions.create({ model: gemini25, file: sound }),
      files: () => client.files.create({ file: lines, purpose: "batch" }),
      files_list: () => client.files.list(),
      batches: () => client.batches.create(batch),
      batches_list: () => client.batches.list(),
      videos_delete: () => client.videos.delete("video_1"),
      videos_list: () => client.videos.list(),
      videos_remix: () => client.videos.remix("video_1", { prompt: "Again" }),
    };
    const failures = {};
    for (const [name, call] of Object.entries(tried)) failures[name] = await failure(call);
    return failures;
  },
};

const answers = {};
for (const name of asked.calls) answers[name] = await calls[name]();
console.log(JSON.stringify(answers));
