// @google/genai, served by an OpenAI-compatible upstream; what came back, as JSON.
// node way_back_calls.mjs '{"base_url": ..., "folder": ..., "calls": [...]}'

import fs from "node:fs";
import { GoogleGenAI, MaskReferenceImage, RawReferenceImage } from "@google/genai";

const asked = JSON.parse(process.argv[2]);
process.chdir(asked.folder);
const client = new GoogleGenAI({
  apiKey: "sk-zenmux",
  vertexai: true,
  httpOptions: {
    baseUrl: asked.base_url,
    apiVersion: "v1",
  },
});
const images = "openai/gpt-image-2";
const model = "openai/gpt-5";
const told = (plan) => ({ headers: { "x-simulator": JSON.stringify(plan) } });

function picture(base64) {
  const data = Buffer.from(base64, "base64");
  return [data.subarray(1, 4).toString(), data.readUInt32BE(16), data.readUInt32BE(20)];
}

async function all(chunks) {
  const heard = [];
  for await (const chunk of await chunks) heard.push(chunk);
  return heard;
}

async function failure(call) {
  try {
    await call();
  } catch (error) {
    return [error.constructor.name, error.status, JSON.parse(error.message).error.status];
  }
  return null;
}

const usage = ({ usageMetadata: counts }) => [
  counts.promptTokenCount,
  counts.candidatesTokenCount,
  counts.totalTokenCount,
];
const properties = { city: { type: "string" } };
const parametersJsonSchema = { type: "object", properties, required: ["city"] };
const tools = [{ functionDeclarations: [{ name: "weather", parametersJsonSchema }] }];

const calls = {
  // As ZenMux's page has it.
  async generate_images() {
    const response = await client.models.generateImages({
      model: "openai/gpt-image-2",
      prompt: "A cute cat wearing a tiny hat",
      config: {
        numberOfImages: 1,
        httpOptions: {
          extraBody: {
            imageSize: "1024x1024",
            quality: "high",
          },
        },
      },
    });
    return response.generatedImages.map((img) => picture(img.image.imageBytes));
  },
  // To the letter of ZenMux's page. These classes of the SDK have no constructor: what is given to it, the image
  // too, never leaves the client.
  edit_image_as_written: () =>
    failure(async () => {
      const imageBytes = fs.readFileSync("input_image.png");

      await client.models.editImage({
        model: "openai/gpt-image-2",
        prompt: "Transform this image into watercolor painting style",
        referenceImages: [
          new RawReferenceImage({
            referenceId: 1,
            referenceImage: {
              imageBytes: imageBytes,
              mimeType: "image/png",
            },
          }),
        ],
      });
    }),
  async edit_image() {
    const imageBytes = fs.readFileSync("input_image.png").toString("base64");
    const referenceImage = { imageBytes, mimeType: "image/png" };
    const response = await client.models.editImage({
      model: "openai/gpt-image-2",
      prompt: "Transform this image into watercolor painting style",
      referenceImages: [Object.assign(new RawReferenceImage(), { referenceId: 1, referenceImage })],
    });
    return response.generatedImages.map((img) => picture(img.image.imageBytes));
  },
  async edit_masked() {
    const [raw, mask] = asked.masked.map((name) => ({
      imageBytes: fs.readFileSync(name).toString("base64"),
      mimeType: "image/png",
    }));
    const maskConfig = { maskMode: "MASK_MODE_USER_PROVIDED" };
    const source = Object.assign(new RawReferenceImage(), { referenceId: 1, referenceImage: raw });
    const masked = Object.assign(new MaskReferenceImage(), {
      referenceId: 2,
      referenceImage: mask,
      config: maskConfig,
    });
    const config = { numberOfImages: 2, outputMimeType: "image/png" };
    const body = { model: images, prompt: "A hat", referenceImages: [source, masked], config };
    const made = (await client.models.editImage(body)).generatedImages;
    return made.map(({ image }) => [picture(image.imageBytes), image.mimeType]);
  },
  async images_shaped() {
    const config = {
      numberOfImages: 3,
      aspectRatio: "1:1",
      outputMimeType: "image/jpeg",
      outputCompressionQuality: 80,
    };
    const made = (await client.models.generateImages({ model: images, prompt: "A cat", config })).generatedImages;
    const start = (image) => Buffer.from(image.imageBytes, "base64").subarray(0, 2).toString("hex");
    return made.map(({ image }) => [image.mimeType, start(image)]);
  },
  images_failed: () => {
    const config = { httpOptions: { extraBody: { imageSize: "17x17" } } };
    return failure(() => client.models.generateImages({ model: images, prompt: "A cat", config }));
  },
  async generate() {
    const config = { systemInstruction: "Be brief.", maxOutputTokens: 100 };
    const answer = await client.models.generateContent({ model, contents: "Hello, who are you?", config });
    return [answer.text, answer.candidates[0].finishReason, answer.modelVersion, usage(answer)];
  },
  async stream() {
    const chunks = await all(client.models.generateContentStream({ model, contents: "Hello, who are you?" }));
    const text = chunks.map((chunk) => chunk.text ?? "").join("");
    return [chunks.length > 1, text, chunks.at(-1).candidates[0].finishReason, usage(chunks.at(-1))];
  },
  async chat() {
    const conversation = client.chats.create({ model });
    const answers = [];
    for (const message of ["Hello", "And then?"]) answers.push((await conversation.sendMessage({ message })).text);
    return answers;
  },
  async functions() {
    const contents = [{ role: "user", parts: [{ text: "The weather in two cities?" }] }];
    const config = { tools, httpOptions: told({ calls: 2 }) };
    const first = await client.models.generateContent({ model, contents, config });
    contents.push(first.candidates[0].content);
    const results = first.functionCalls.map(({ id, name, args }) => ({
      functionResponse: { id, name, response: { result: `It rains in ${args.city}.` } },
    }));
    contents.push({ role: "user", parts: results });
    const second = await client.models.generateContent({ model, contents, config: { tools } });
    const said = results.map(({ functionResponse }) => functionResponse.response.result);
    return [first.functionCalls.map(({ args }) => args.city), said, second.text];
  },
  async functions_stream() {
    const config = { tools, httpOptions: told({ calls: 2 }) };
    const chunks = await all(client.models.generateContentStream({ model, contents: "The weather?", config }));
    return chunks.flatMap((chunk) => chunk.functionCalls ?? []).map(({ args }) => args.city);
  },
  async structured() {
    const responseSchema = { type: "OBJECT", properties: { answer: { type: "INTEGER" } }, required: ["answer"] };
    const config = { responseMimeType: "application/json", responseSchema };
    return JSON.parse((await client.models.generateContent({ model, contents: "6 times 7?", config })).text);
  },
  async media() {
    const data = fs.readFileSync("input_image.png").toString("base64");
    const parts = [{ text: "What is it?" }, { inlineData: { data, mimeType: "image/png" } }];
    return (await client.models.generateContent({ model, contents: [{ role: "user", parts }] })).text;
  },
  async failed() {
    const failures = [];
    for (const status of [429, 503]) {
      const config = { httpOptions: told({ status }) };
      failures.push(await failure(() => client.models.generateContent({ model, contents: "Hello", config })));
    }
    return failures;
  },
};

const answers = {};
for (const name of asked.calls) answers[name] = await calls[name]();
console.log(JSON.stringify(answers));
