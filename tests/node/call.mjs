// The official TypeScript client of MCP, driven by a test: `node call.mjs v1|v2|modern URL`, with the bearer token in
// TOKEN and further header fields as JSON in HEADERS. It says what it connected to; then each line of stdin is a call
// {"tool", "arguments", "timeout"}, and each line of stdout is {"progress"}, {"result"} or {"error"}.

import process from "node:process";
import readline from "node:readline";

const [kind, url] = process.argv.slice(2);
const self = { name: "holdgate-tests", version: "1" };

const say = (what) => process.stdout.write(`${JSON.stringify(what)}\n`);

async function makeClient() {
  if (kind === "v1") {
    const { Client } = await import("@modelcontextprotocol/sdk/client/index.js");
    const { StreamableHTTPClientTransport } = await import("@modelcontextprotocol/sdk/client/streamableHttp.js");
    return { client: new Client(self), Transport: StreamableHTTPClientTransport };
  }
  const { Client, StreamableHTTPClientTransport } = await import("@modelcontextprotocol/client");
  const mode = kind === "modern" ? { pin: "2026-07-28" } : "legacy";
  return { client: new Client(self, { versionNegotiation: { mode } }), Transport: StreamableHTTPClientTransport };
}

async function call(client, { tool, arguments: given, timeout }) {
  const options = { timeout, resetTimeoutOnProgress: true, onprogress: (progress) => say({ progress }) };
  const params = { name: tool, arguments: given };
  try {
    const result = kind === "v1" ? await client.callTool(params, undefined, options) : await client.callTool(params, options);
    say({ result });
  } catch (error) {
    say({ error: { name: error.name, code: error.code ?? null, message: error.message } });
  }
}

const { client, Transport } = await makeClient();
const headers = { authorization: `Bearer ${process.env.TOKEN}`, ...JSON.parse(process.env.HEADERS ?? "{}") };
await client.connect(new Transport(new URL(url), { requestInit: { headers } }));
// Listing the tools makes the client check every structured result against the tool's own output schema.
const { tools } = await client.listTools();
say({ connected: client.getServerVersion()?.name ?? "", tools: tools.map((tool) => tool.name) });

for await (const line of readline.createInterface({ input: process.stdin })) {
  await call(client, JSON.parse(line));
}
await client.close();
