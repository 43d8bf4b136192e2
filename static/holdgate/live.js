/* Live pages: a WebSocket brings hints, the page is fetched again over HTTP (which checks who may see it), and the
   regions whose state changed are exchanged. Countdowns tick by the server's clock. Keys move and open, but never
   decide by themselves. Without this file every page works, only not by itself. */

"use strict";

const POLL_MS = 10_000;
const WORKING_MS = 2_000;
const APPROVE_GUARD_MS = 1_000;
const clock = document.querySelector("meta[name=server-now]");
const offset = clock ? Number(clock.content) - Date.now() : 0;
const announcer = document.getElementById("announcer");
const offline = document.getElementById("offline");
const baseTitle = document.title;

function announce(text) {
  if (announcer) announcer.textContent = text;
}

/* Countdowns */

function inWords(seconds) {
  if (seconds <= 0) return "time is over";
  const parts = [Math.floor(seconds / 3600), Math.floor((seconds % 3600) / 60), seconds % 60];
  const two = (number) => String(number).padStart(2, "0");
  return parts[0] ? `${parts[0]}:${two(parts[1])}:${two(parts[2])}` : `${parts[1]}:${two(parts[2])}`;
}

function tick() {
  const now = Date.now() + offset;
  for (const left of document.querySelectorAll("time[data-until]")) {
    const seconds = Math.max(0, Math.round((Date.parse(left.dateTime) - now) / 1000));
    left.textContent = inWords(seconds);
    left.classList.toggle("soon", seconds < 120);
    if (seconds === 0 && !left.dataset.over) {
      left.dataset.over = "1";
      soon();
    }
  }
  for (const bar of document.querySelectorAll("progress[data-until]")) {
    bar.value = Math.max(0, (Date.parse(bar.dataset.until) - now) / 1000);
    bar.classList.toggle("soon", bar.value < 120);
  }
}

/* Regions */

/* What a person wrote, chose or opened stays as it is when the region around it is exchanged. */
function keep(old, fresh) {
  for (const mine of old.querySelectorAll("textarea[id], input[id], details[id]")) {
    const again = fresh.querySelector(`[id="${CSS.escape(mine.id)}"]`);
    if (!again) continue;
    if (mine.matches("details")) again.open = mine.open;
    else if (mine.matches("[type=checkbox], [type=radio]")) again.checked = mine.checked;
    else again.value = mine.value;
  }
}

function exchange(old, fresh) {
  keep(old, fresh);
  const active = document.activeElement;
  const focused = active && old.contains(active) && active.id;
  const caret = active?.matches?.("textarea") ? [active.selectionStart, active.selectionEnd] : null;
  fresh.classList.add("fresh");
  old.replaceWith(fresh);
  if (focused) {
    const again = document.getElementById(focused);
    again?.focus({ preventScroll: true });
    if (caret) again?.setSelectionRange?.(...caret);
  }
  if (fresh.dataset.say) announce(fresh.dataset.say);
}

let busy = false;
let again = false;

async function refresh() {
  if (busy) {
    again = true;
    return;
  }
  busy = true;
  try {
    const answer = await fetch(location.href, { headers: { Accept: "text/html" }, credentials: "same-origin" });
    if (answer.redirected) return location.reload();
    if (!answer.ok) return;
    const page = new DOMParser().parseFromString(await answer.text(), "text/html");
    let moved = false;
    /* What comes along makes no page live by itself. */
    for (const old of document.querySelectorAll("[data-live], [data-along]")) {
      const fresh = page.getElementById(old.id);
      if (!fresh || fresh.dataset.state === old.dataset.state) continue;
      exchange(old, fresh);
      moved = true;
    }
    badge();
    if (moved) guard();
    tick();
  } catch (error) {
    console.info("Holdgate: the page could not be refreshed.", error);
  } finally {
    busy = false;
    if (again) {
      again = false;
      soon();
    }
  }
}

let timer = 0;

function soon() {
  clearTimeout(timer);
  timer = setTimeout(refresh, 120);
}

function badge() {
  const count = document.querySelector("[data-count]")?.dataset.count;
  document.title = Number(count) ? `(${count}) ${baseTitle}` : baseTitle;
}

/* A click must not land on a button that has just appeared under the finger, or that moved there because something
   above it changed. Denying is never delayed. */
const guarded = new WeakMap();

function guard() {
  for (const button of document.querySelectorAll("[data-guard]")) {
    const { timer, focused } = guarded.get(button) ?? {};
    clearTimeout(timer);
    const had = focused || document.activeElement === button;
    button.disabled = true;
    guarded.set(button, { focused: had, timer: setTimeout(release, APPROVE_GUARD_MS, button, had) });
  }
}

function release(button, focused) {
  guarded.delete(button);
  button.disabled = false;
  if (focused && document.activeElement === document.body) button.focus({ preventScroll: true });
}

function sayOffline(isOffline) {
  if (offline.hidden !== isOffline) return;
  offline.hidden = !isOffline;
  guard(); // the page moves by a line
}

/* Hints */

let wait = 1_000;

function connect() {
  const scheme = location.protocol === "https:" ? "wss:" : "ws:";
  const about = document.querySelector("[data-about]")?.dataset.about;
  const only = about ? `?about=${encodeURIComponent(about)}` : "";
  const socket = new WebSocket(`${scheme}//${location.host}/ws/inbox/${only}`);
  socket.onopen = () => {
    wait = 1_000;
    sayOffline(false);
    document.documentElement.dataset.socket = "open";
    soon(); // whatever happened while nobody listened
  };
  socket.onmessage = soon; // it says that something changed, not what
  socket.onclose = () => {
    document.documentElement.dataset.socket = "closed";
    sayOffline(wait >= 4_000);
    setTimeout(connect, wait);
    wait = Math.min(wait * 2, 30_000);
  };
}

/* Keys */

const KEYS = {
  j: () => step(1),
  k: () => step(-1),
  a: () => point("approve", "Press Enter to approve."),
  d: () => point("comment", "Say why, then press the Deny button."),
  i: () => location.assign("/"),
  x: () => document.activeElement.closest(".item")?.querySelector("input[type=checkbox]")?.click(),
  "/": search,
};

function search() {
  const box = document.getElementById("q");
  if (!box) return;
  box.closest("details").open = true;
  box.focus();
}

function step(by) {
  const cards = [...document.querySelectorAll(".card")];
  const at = cards.indexOf(document.activeElement);
  cards[Math.min(Math.max(at + by, 0), cards.length - 1)]?.focus();
}

function point(id, text) {
  const target = document.getElementById(id);
  if (!target) return;
  target.focus();
  target.scrollIntoView({ block: "center" });
  announce(text);
}

document.addEventListener("keydown", (event) => {
  const typing = event.target.closest("input:not([type=checkbox]), textarea, select, [contenteditable]");
  if (keysOff() || typing || event.ctrlKey || event.metaKey || event.altKey || !(event.key in KEYS)) return;
  event.preventDefault();
  KEYS[event.key]();
});

/* Single keys are in the way of who speaks to the computer, so they can be switched off. */
function keysOff() {
  return localStorage.getItem("holdgate-keys") === "off";
}

function offerKeys() {
  const said = document.querySelector(".keys");
  if (!said) return;
  const button = document.createElement("button");
  button.type = "button";
  button.className = "link small";
  const show = () => (button.textContent = keysOff() ? "Switch keys on" : "Switch keys off");
  button.addEventListener("click", () => {
    localStorage.setItem("holdgate-keys", keysOff() ? "on" : "off");
    show();
  });
  show();
  said.append(" ", button);
}

/* A second click on a form that is on its way changes nothing, but worries people. */
document.addEventListener("submit", (event) => {
  if (event.target.dataset.sent) event.preventDefault();
  event.target.dataset.sent = "1";
});

window.addEventListener("pageshow", () => {
  for (const form of document.forms) delete form.dataset.sent;
});

guard();
offerKeys();
tick();
setInterval(tick, 1_000);

if (document.querySelector("[data-live]")) {
  connect();
  badge();
  setInterval(() => document.documentElement.dataset.socket !== "open" && refresh(), POLL_MS);
  /* Work in the background sends no news. */
  setInterval(() => document.querySelector("[data-working]") && refresh(), WORKING_MS);
}
