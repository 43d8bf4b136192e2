// Steps of a replay by keyboard: j and k from step to step, n and p from call to call, o opens what is folded.
"use strict";

const steps = () => [...document.querySelectorAll("[data-step]")];

function go(found, by) {
  const at = document.activeElement && document.activeElement.closest("[data-step]");
  const next = at ? found.indexOf(found.includes(at) ? at : found.filter((one) => one.compareDocumentPosition(at) & 4).at(-1)) + by : 0;
  const step = found[Math.max(0, Math.min(found.length - 1, next))];
  if (step) {
    step.focus({ preventScroll: true });
    step.scrollIntoView({ block: "start" });
  }
}

document.addEventListener("keydown", (event) => {
  if (localStorage.getItem("holdgate-keys") === "off") return;
  if (event.ctrlKey || event.metaKey || event.altKey || event.target.closest("input, textarea, select")) return;
  const firsts = () => [...document.querySelectorAll(".call")].map((call) => call.querySelector("[data-step]")).filter(Boolean);
  const does = {
    j: () => go(steps(), 1),
    k: () => go(steps(), -1),
    n: () => go(firsts(), 1),
    p: () => go(firsts(), -1),
    o: () => {
      const step = document.activeElement.closest("[data-step]");
      const folds = step ? [...step.querySelectorAll("details")] : [];
      const open = folds.some((fold) => !fold.open);
      folds.forEach((fold) => { fold.open = open; });
    },
  }[event.key];
  if (does) {
    does();
    event.preventDefault();
  }
});
