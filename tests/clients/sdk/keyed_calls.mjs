// Calls with the keys of a proxy's clients, where the real @google/genai puts keys; what came back, as JSON.
// node keyed_calls.mjs '{"base_url": ..., "keys": [...], "calls": ["genai"]}'

import { ApiError, GoogleGenAI } from "@google/genai";

const asked = JSON.parse(process.argv[2]);

async function call(apiKey) {
  const client = new GoogleGenAI({ vertexai: true, apiKey, httpOptions: { baseUrl: asked.base_url } });
  try {
    const answer = await client.models.generateContent({ model: "gemini-2.5-flash", contents: "Hello, who are you?" });
    return Boolean(answer.text);
  } catch (error) {
    return error instanceof ApiError ? error.status : String(error);
  }
}

const told = [];
for (const key of asked.keys) told.push(await call(key));
console.log(JSON.stringify({ genai: told }));
