// A SAML identity provider of others, npm's samlify, at which Alice always sits.
// `node saml_provider.mjs KEY CERTIFICATE` prints its address and serves until its standard input ends. Our metadata
// are posted to /partner; /sso answers a signed request with a form.

import { randomUUID } from "node:crypto";
import { readFileSync } from "node:fs";
import { createServer } from "node:http";
import { createRequire } from "node:module";

const samlify = createRequire(import.meta.url)("samlify");

const [keyFile, certificateFile] = process.argv.slice(2);
const bindings = "urn:oasis:names:tc:SAML:2.0:bindings";
const basic = "urn:oasis:names:tc:SAML:2.0:attrname-format:basic";
const persistent = "urn:oasis:names:tc:SAML:2.0:nameid-format:persistent";
// Schemas are checked on the other side.
samlify.setSchemaValidator({ validate: async () => "not checked here" });

const server = createServer();
await new Promise((listening) => server.listen(0, "127.0.0.1", listening));
const address = `http://127.0.0.1:${server.address().port}`;
const attributes = ["mail", "displayName", "groups"].map((name) => ({
  name,
  valueTag: name,
  nameFormat: basic,
  valueXsiType: "xs:string",
}));
// The library makes none of its own, and escapes what is put in.
const statement =
  '<saml:AuthnStatement AuthnInstant="{IssueInstant}" SessionIndex="s-1"><saml:AuthnContext>' +
  "<saml:AuthnContextClassRef>https://refeds.org/profile/mfa</saml:AuthnContextClassRef>" +
  "</saml:AuthnContext></saml:AuthnStatement>";
const context = samlify.SamlLib.defaultLoginResponseTemplate.context.replace("{AuthnStatement}", statement);
const provider = samlify.IdentityProvider({
  entityID: `${address}/metadata`,
  privateKey: readFileSync(keyFile),
  signingCert: readFileSync(certificateFile),
  wantAuthnRequestsSigned: true,
  requestSignatureAlgorithm: "http://www.w3.org/2001/04/xmldsig-more#rsa-sha256",
  nameIDFormat: [persistent],
  singleSignOnService: [{ Binding: `${bindings}:HTTP-Redirect`, Location: `${address}/sso` }],
  loginResponseTemplate: { context, attributes },
});
let partner;

const moment = (minutes) => new Date(Date.now() + minutes * 60_000).toISOString();

function filled(request) {
  return (template) => {
    const consumer = partner.entityMeta.getAssertionConsumerService("post");
    const values = {
      ID: `_${randomUUID()}`,
      AssertionID: `_${randomUUID()}`,
      Destination: consumer,
      Audience: partner.entityMeta.getEntityID(),
      SubjectRecipient: consumer,
      AssertionConsumerServiceURL: consumer,
      Issuer: provider.entityMeta.getEntityID(),
      IssueInstant: moment(0),
      ConditionsNotBefore: moment(-1),
      ConditionsNotOnOrAfter: moment(5),
      SubjectConfirmationDataNotOnOrAfter: moment(5),
      NameIDFormat: persistent,
      NameID: "p-4711",
      InResponseTo: request.extract.request.id,
      StatusCode: "urn:oasis:names:tc:SAML:2.0:status:Success",
      attrMail: "alice@example.com",
      attrDisplayName: "Alice Ames",
      attrGroups: "engineering",
    };
    return { id: values.ID, context: samlify.SamlLib.replaceTagsByValue(template, values) };
  };
}

async function signOn(url) {
  const octetString = url.search.slice(1, url.search.indexOf("&Signature="));
  const query = Object.fromEntries(url.searchParams);
  const request = await provider.parseLoginRequest(partner, "redirect", { query, octetString });
  const made = await provider.createLoginResponse(partner, request, "post", {}, filled(request));
  return `<form method="post" action="${made.entityEndpoint}"><input name="SAMLResponse"
    value="${made.context}"><button>Continue</button></form>`;
}

async function answer(request, body) {
  const url = new URL(request.url, address);
  if (url.pathname === "/metadata") return provider.getMetadata();
  if (url.pathname === "/sso") return signOn(url);
  partner = samlify.ServiceProvider({ metadata: body });
  return "";
}

server.on("request", async (request, response) => {
  const chunks = [];
  for await (const chunk of request) chunks.push(chunk);
  try {
    response.end(await answer(request, Buffer.concat(chunks).toString()));
  } catch (error) {
    response.writeHead(500).end(String(error?.stack ?? error));
  }
});
process.stdin.on("end", () => process.exit(0)).resume();
process.stdout.write(`${address}\n`);
