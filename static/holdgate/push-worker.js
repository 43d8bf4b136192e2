// Runs in the browser's background: shows what a push message says, and opens the page that it is about.
"use strict";

self.addEventListener("push", (event) => {
  const told = event.data.json();
  const shown = { body: told.text, tag: told.tag, renotify: true, data: told.url };
  event.waitUntil(self.registration.showNotification("Holdgate", shown));
});

self.addEventListener("notificationclick", (event) => {
  event.notification.close();
  const page = new URL(event.notification.data, self.location.origin);
  if (page.origin === self.location.origin) event.waitUntil(self.clients.openWindow(page.href));
});
