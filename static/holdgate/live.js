/* Live pages: a WebSocket brings hints, the page is fetched again over HTTP (which checks who may see it), and the
   regions whose state changed are exchanged. Countdowns tick by the server's clock. Keys move and open, but never
   decide by themselves. Without this file every page works, only not by itself. */

"use strict";

const POLL_MS = 10_000;
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
  }
}

/* Regions */

function exchange(old, fresh) {
  for (const typed of old.querySelectorAll("textarea[id]")) {
    const again = fresh.querySelector(`#${typed.id}`);
    if (again) again.value = typed.value;
  }
  const focused = document.activeElement && old.contains(document.activeElement) && document.activeElement.id;
  fresh.classList.add("fresh");
  old.replaceWith(fresh);
  if (focused) document.getElementById(focused)?.focus({ preventScroll: true });
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
    for (const old of document.querySelectorAll("[data-live]")) {
      const fresh = page.getElementById(old.id);
      if (fresh && fresh.dataset.state !== old.dataset.state) exchange(old, fresh);
    }
    badge();
    guard();
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

/* A click must not land on a button that has just appeared under the finger. Denying is never delayed. */
function guard() {
  for (const button of document.querySelectorAll("[data-guard]:not([data-guarded])")) {
    button.dataset.guarded = "1";
    button.disabled = true;
    setTimeout(() => (button.disabled = false), APPROVE_GUARD_MS);
  }
}

/* Hints */

let wait = 1_000;

function connect() {
  const scheme = location.protocol === "https:" ? "wss:" : "ws:";
  const socket = new WebSocket(`${scheme}//${location.host}/ws/inbox/`);
  socket.onopen = () => {
    wait = 1_000;
    offline.hidden = true;
    document.documentElement.dataset.socket = "open";
    soon(); // whatever happened while nobody listened
  };
  socket.onmessage = (message) => {
    const about = document.querySelector("[data-about]")?.dataset.about;
    const { id } = JSON.parse(message.data);
    if (!about || about.split(" ").includes(id)) soon();
  };
  socket.onclose = () => {
    document.documentElement.dataset.socket = "closed";
    offline.hidden = wait < 4_000;
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
};

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
  const typing = event.target.closest("input, textarea, select, [contenteditable]");
  if (typing || event.ctrlKey || event.metaKey || event.altKey || !(event.key in KEYS)) return;
  event.preventDefault();
  KEYS[event.key]();
});

/* A second click on a form that is on its way changes nothing, but worries people. */
document.addEventListener("submit", (event) => {
  if (event.target.dataset.sent) event.preventDefault();
  event.target.dataset.sent = "1";
});

window.addEventListener("pageshow", () => {
  for (const form of document.forms) delete form.dataset.sent;
});

if (document.querySelector("[data-live]")) {
  connect();
  guard();
  badge();
  tick();
  setInterval(tick, 1_000);
  setInterval(() => document.documentElement.dataset.socket !== "open" && refresh(), POLL_MS);
}
