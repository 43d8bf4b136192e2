// An OpenID provider of others, npm's oidc-provider, whose person answers every question at once.
// `node oidc_provider.mjs CALLBACK SIGNED_OUT` prints its address and serves until its standard input ends.
// A line of JSON on the standard input chooses who sits at the browser; each prompt is told on the standard output.

import { createServer } from "node:http";
import { createInterface } from "node:readline";
import Provider from "oidc-provider";

const [callback, signedOut] = process.argv.slice(2);
const server = createServer();
await new Promise((listening) => server.listen(0, "127.0.0.1", listening));
const issuer = `http://127.0.0.1:${server.address().port}`;
let person = {};

const provider = new Provider(issuer, {
  clients: [
    {
      client_id: "holdgate",
      client_secret: "the-secret-of-the-login-client",
      redirect_uris: [callback],
      post_logout_redirect_uris: [signedOut],
      require_auth_time: true,
    },
  ],
  acrValues: ["phr", "urn:one"],
  claims: {
    openid: ["sub"],
    email: ["email", "email_verified"],
    profile: ["name", "groups"],
    acr: null,
    amr: null,
    auth_time: null,
  },
  cookies: { keys: ["a key of the tests"] },
  features: { claimsParameter: { enabled: true }, devInteractions: { enabled: false } },
  findAccount: (_, sub) => ({ accountId: sub, claims: () => ({ sub, ...person.claims }) }),
  pkce: { required: () => true },
});

async function granted(details) {
  const grant = new provider.Grant({ accountId: details.session.accountId, clientId: details.params.client_id });
  grant.addOIDCScope(details.params.scope);
  return { consent: { grantId: await grant.save() } };
}

async function interact(request, response) {
  const details = await provider.interactionDetails(request, response);
  const asked = { prompt: details.prompt.name, reasons: details.prompt.reasons, acr_values: details.params.acr_values };
  process.stdout.write(`${JSON.stringify(asked)}\n`);
  const login = { accountId: person.sub, amr: person.amr, acr: person.acr };
  const result = details.prompt.name === "login" ? { login } : await granted(details);
  await provider.interactionFinished(request, response, result);
}

const answer = provider.callback();
server.on("request", (request, response) =>
  request.url.startsWith("/interaction/") ? interact(request, response) : answer(request, response),
);
const lines = createInterface({ input: process.stdin });
lines.on("line", (line) => {
  person = JSON.parse(line);
  process.stdout.write("{}\n");
});
lines.on("close", () => process.exit(0));
process.stdout.write(`${JSON.stringify({ issuer })}\n`);
