// Loaded before the conformance suite (`node --import`): the suite knows no bearer tokens, so each request gets the one of
// TOKEN on its way out. Nothing else is changed, so that the suite still chooses Host, Origin and everything beside them.

import diagnostics from "node:diagnostics_channel";
import process from "node:process";

const value = `Bearer ${process.env.TOKEN}`;
// Its two ways to send: `fetch` with all that stands on it, and `http.request`.
diagnostics.subscribe("undici:request:create", ({ request }) => request.addHeader("authorization", value));
diagnostics.subscribe("http.client.request.created", ({ request }) => request.setHeader("authorization", value));
