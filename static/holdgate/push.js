// Adds the browser that shows this page to those that are told of what waits.
"use strict";

(() => {
  const box = document.querySelector("[data-push-key]");
  const button = box.querySelector("button");
  const status = box.querySelector("[role=status]");
  const token = box.querySelector("[name=csrfmiddlewaretoken]").value;

  const say = (text) => {
    status.textContent = text;
  };

  if (!("serviceWorker" in navigator && "PushManager" in window && "Notification" in window)) {
    say("This browser cannot be notified. On a phone it may have to be put on the home screen first.");
    return;
  }

  // A worker outside of its page's path is never the page's own, so `ready` would wait for ever.
  const active = (registration) =>
    new Promise((resolve, reject) => {
      if (registration.active) {
        resolve(registration);
        return;
      }
      const worker = registration.installing || registration.waiting;
      worker.addEventListener("statechange", () => {
        if (worker.state === "activated") resolve(registration);
        if (worker.state === "redundant") reject(new Error("its worker did not start"));
      });
    });

  const add = async () => {
    if ((await Notification.requestPermission()) !== "granted") {
      say("The browser does not allow notifications of this page. Allow them in its settings, and try again.");
      return;
    }
    const registration = await active(await navigator.serviceWorker.register(box.dataset.worker));
    const subscription = await registration.pushManager.subscribe({
      userVisibleOnly: true,
      applicationServerKey: box.dataset.pushKey,
    });
    const answer = await fetch(box.dataset.add, {
      method: "POST",
      headers: { "Content-Type": "application/json", "X-CSRFToken": token },
      body: JSON.stringify(subscription),
    });
    if (answer.ok) location.reload();
    else say((await answer.json()).message);
  };

  button.hidden = false;
  button.addEventListener("click", async () => {
    button.disabled = true;
    say("");
    try {
      await add();
    } catch (error) {
      say(`The browser could not be added: ${error.message}`);
    } finally {
      button.disabled = false;
    }
  });
})();
