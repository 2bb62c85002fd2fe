// Progressive enhancement only: every page works without this file.

// Times are written in UTC by the server; show them in the reader's own zone.
for (const el of document.querySelectorAll("time[datetime]")) {
  const at = new Date(el.dateTime);
  if (!Number.isNaN(at.valueOf())) el.textContent = at.toLocaleString(document.documentElement.lang);
}

// A second click while a form is on its way would only be answered with the first one's page.
for (const form of document.forms) {
  form.addEventListener("submit", () => {
    setTimeout(() => { for (const b of form.querySelectorAll("button")) b.disabled = true; });
  });
}
// Back/forward may bring the page back as it was left.
addEventListener("pageshow", (e) => {
  if (e.persisted) for (const b of document.querySelectorAll("button:disabled")) b.disabled = false;
});

const pending = document.getElementById("pending");
if (pending?.dataset.progress) follow(pending);

// follow shows a starting server's events as they come. The server decides what happens
// next; on failure its own page (with the reason and "Try again") replaces this one.
function follow(root) {
  const bar = document.getElementById("bar");
  const now = document.getElementById("now");
  const log = document.getElementById("log");
  const lost = document.getElementById("lost");
  log.replaceChildren(); // the stream repeats what has happened so far
  let last = "";
  const source = new EventSource(root.dataset.progress);
  source.addEventListener("open", () => { lost.hidden = true; log.replaceChildren(); last = ""; });
  source.addEventListener("error", () => {
    lost.hidden = false;
    // CLOSED: the answer was not a stream (logged out, server gone). The page knows why.
    if (source.readyState === EventSource.CLOSED) setTimeout(() => location.reload(), 2000);
  });
  source.addEventListener("message", (e) => {
    const event = JSON.parse(e.data);
    bar.value = Math.max(bar.value, event.progress);
    if (event.message && event.message !== last) {
      last = event.message;
      now.textContent = event.message;
      const li = document.createElement("li");
      li.textContent = event.message;
      log.append(li);
    }
    if (event.ready) { source.close(); location.replace(root.dataset.ready); }
    if (event.failed) { source.close(); location.reload(); }
  });
}
