// Calls with real SDKs that are told nothing but keys: where they call is in the environment.
// node plain_calls.mjs '{"token": ..., "calls": [...]}'

import Anthropic from "@anthropic-ai/sdk";
import { AnthropicVertex } from "@anthropic-ai/vertex-sdk";
import { GoogleGenAI } from "@google/genai";
import { OAuth2Client } from "google-auth-library";
import OpenAI from "openai";

const ASKED = "Hello, who are you?";
const MESSAGES = [{ role: "user", content: ASKED }];

const CALLS = {
  async gemini() {
    const client = new GoogleGenAI({ vertexai: true, apiKey: "AIzaSimulatedKey" });
    return (await client.models.generateContent({ model: "gemini-2.5-flash", contents: ASKED })).text;
  },
  async chat() {
    const client = new OpenAI({ apiKey: "sk-simulated", maxRetries: 0 });
    const answer = await client.chat.completions.create({ model: "gpt-4o", messages: MESSAGES });
    return answer.choices[0].message.content;
  },
  async claude({ token }) {
    const authClient = new OAuth2Client();
    authClient.setCredentials({ access_token: token });
    const place = { projectId: "test-project", region: "us-central1" };
    const client = new AnthropicVertex({ authClient, maxRetries: 0, ...place });
    const asked = { model: "claude-sonnet-4@20250514", max_tokens: 10, messages: MESSAGES };
    return (await client.messages.create(asked)).content[0].text;
  },
  async messages() {
    const client = new Anthropic({ apiKey: "sk-ant-simulated", maxRetries: 0 });
    const answer = await client.messages.create({ model: "gemini-2.5-flash", max_tokens: 10, messages: MESSAGES });
    return answer.content[0].text;
  },
};

const asked = JSON.parse(process.argv[2]);
const told = {};
for (const name of asked.calls) {
  told[name] = await CALLS[name](asked);
}
console.log(JSON.stringify(told));
