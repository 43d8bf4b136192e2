// The TypeScript SDKs of MCP, calling a tool until they have its result. `node client_node.mjs KIND`, KIND being v1, v2 or
// modern, with `-progress` behind it for a client that asks for progress and lets it reset its timeout. Reads a line of JSON
// for each call from stdin, {"url", "token", "arguments"}, and writes a line for each attempt: {"marker", "seconds", "saw"}.

import process from "node:process";
import { text } from "node:stream/consumers";

const [kind, patient] = process.argv[2].split("-");
const self = { name: "holdgate-clients", version: "1" };
const longest = 480_000;

async function connected({ url, token }) {
  const headers = { authorization: `Bearer ${token}` };
  const v1 = kind === "v1";
  const { Client } = v1 ? await import("@modelcontextprotocol/sdk/client/index.js") : await import("@modelcontextprotocol/client");
  const http = v1 ? await import("@modelcontextprotocol/sdk/client/streamableHttp.js") : await import("@modelcontextprotocol/client");
  const client = kind === "modern" ? new Client(self, { versionNegotiation: { mode: "auto" } }) : new Client(self);
  await client.connect(new http.StreamableHTTPClientTransport(new URL(url), { requestInit: { headers } }));
  return client;
}

async function attempt(job) {
  const options = patient ? { onprogress: () => {}, resetTimeoutOnProgress: true } : undefined;
  const params = { name: "query", arguments: job.arguments };
  try {
    const client = await connected(job);
    const result = kind === "v1" ? await client.callTool(params, undefined, options) : await client.callTool(params, options);
    await client.close();
    const said = result.content.map((block) => block.text ?? "").join(" ");
    if (!result.isError) return `result: ${said}`;
    return `${said.includes("WAITING FOR APPROVAL") ? "pending" : "error"}: ${said}`;
  } catch (error) {
    return `error: raises ${error.constructor.name}: ${error.message}`;
  }
}

async function untilResult(job) {
  const began = Date.now();
  while (Date.now() - began < longest) {
    const started = Date.now();
    const saw = (await attempt(job)).slice(0, 400);
    const seconds = Math.round((Date.now() - started) / 100) / 10;
    process.stdout.write(`${JSON.stringify({ marker: job.arguments.marker, seconds, saw })}\n`);
    if (saw.startsWith("result")) return;
    await new Promise((resolve) => setTimeout(resolve, 2000));
  }
}

const jobs = (await text(process.stdin)).trim().split("\n").map((line) => JSON.parse(line));
await Promise.all(jobs.map(untilResult));
process.exit(0);
