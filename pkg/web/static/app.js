// Progressive enhancement only: every page works without this file.

const live = document.getElementById("servers");
// As the server wrote them: the lines below change times, and what the stream brings is compared.
const parts = new Map();
if (live?.dataset.live) for (const li of live.children) remember(li, li);

// Times are written in UTC by the server; show them in the reader's own zone, or how long ago.
const ago = new Intl.RelativeTimeFormat(document.documentElement.lang, { numeric: "auto" });
times(document);
setInterval(() => times(document, "time[data-ago]"), 30_000);

function times(root, which = "time[datetime]") {
  for (const el of root.querySelectorAll(which)) {
    const at = new Date(el.dateTime);
    if (Number.isNaN(at.valueOf())) continue;
    const exact = at.toLocaleString(document.documentElement.lang);
    el.textContent = "ago" in el.dataset ? distance(at) : exact;
    if ("ago" in el.dataset) el.title = exact;
  }
}

function distance(at) {
  const minutes = Math.round(Math.min(0, at - Date.now()) / 60_000);
  if (minutes === 0) return ago.format(0, "second"); // "now"
  if (minutes > -60) return ago.format(minutes, "minute");
  if (minutes > -48 * 60) return ago.format(Math.round(minutes / 60), "hour");
  return ago.format(Math.round(minutes / (24 * 60)), "day");
}

// The end of a log is what matters.
for (const pre of document.querySelectorAll("pre.output")) pre.scrollTop = pre.scrollHeight;
document.addEventListener("toggle", (e) => {
  for (const pre of e.target.querySelectorAll("pre.output")) pre.scrollTop = pre.scrollHeight;
}, true);

// A second click while a form is on its way would only be answered with the first one's page.
document.addEventListener("submit", (e) => {
  setTimeout(() => { for (const b of e.target.querySelectorAll("button")) b.disabled = true; });
});
// Back/forward may bring the page back as it was left.
addEventListener("pageshow", (e) => {
  if (e.persisted) for (const b of document.querySelectorAll("button:disabled")) b.disabled = false;
});

const pending = document.getElementById("pending");
if (pending?.dataset.progress) follow(pending);
if (live?.dataset.live) watch(live);

// follow shows a starting server's events as they come. The server decides what happens
// next; on failure its own page (with the reason and "Try again") replaces this one.
function follow(root) {
  const patience = "perijove-patience"; // how long until the next try, while tries fail
  const bar = document.getElementById("bar");
  const now = document.getElementById("now");
  const log = document.getElementById("log");
  const lost = document.getElementById("lost");
  log.replaceChildren(); // the stream repeats what has happened so far
  let last = "";
  const source = new EventSource(root.dataset.progress);
  source.addEventListener("open", () => { lost.hidden = true; log.replaceChildren(); last = ""; sessionStorage.removeItem(patience); });
  source.addEventListener("error", () => {
    lost.hidden = false;
    if (source.readyState !== EventSource.CLOSED) return; // the browser tries again by itself
    // The answer was not a stream (logged out, server gone, too many tabs). The page knows why.
    const wait = Number(sessionStorage.getItem(patience)) || 2_000;
    sessionStorage.setItem(patience, Math.min(2 * wait, 60_000));
    setTimeout(() => location.reload(), wait * (0.5 + Math.random()));
  });
  // A machine that slept may have lost the connection without a word.
  let tick = Date.now();
  setInterval(() => {
    if (Date.now() - tick > 90_000) location.reload();
    tick = Date.now();
  }, 5_000);
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

// remember keeps the parts of a server as the stream brings them.
function remember(li, from) {
  const known = new Map();
  for (const part of from.querySelectorAll("[data-part]")) known.set(part.dataset.part, part.outerHTML);
  parts.set(li.dataset.server, known);
}

// watch keeps the home page as it is on the server. While nobody looks at it there is no stream.
function watch(list) {
  const silence = 30_000; // the stream says every few seconds that it lives
  let source, heard = 0, wait = 2_000, again;
  const close = () => { clearTimeout(again); source?.close(); source = undefined; };
  const open = () => {
    close();
    if (document.hidden) return;
    heard = Date.now();
    source = new EventSource(list.dataset.live);
    source.addEventListener("open", () => { heard = Date.now(); });
    source.addEventListener("beat", () => { heard = Date.now(); wait = 2_000; });
    source.addEventListener("message", (e) => { heard = Date.now(); show(list, JSON.parse(e.data)); });
    source.addEventListener("error", () => {
      if (source?.readyState !== EventSource.CLOSED) return; // the browser tries again by itself
      close();
      // The answer was no stream: the session has ended, or there is no service, or no place.
      again = setTimeout(async () => {
        const page = await fetch(location.href, { redirect: "manual" }).catch(() => undefined);
        if (page && (page.type === "opaqueredirect" || page.status === 401 || page.status === 403)) location.reload();
        else open();
      }, wait * (0.5 + Math.random()));
      wait = Math.min(2 * wait, 60_000);
    });
  };
  document.addEventListener("visibilitychange", () => { if (document.hidden) close(); else open(); });
  addEventListener("pageshow", (e) => { if (e.persisted) open(); });
  addEventListener("pagehide", close);
  // A connection that was cut while the machine slept says nothing, not even that.
  setInterval(() => { if (source && Date.now() - heard > silence) open(); }, 5_000);
  open();
}

// show replaces what has changed. What is looked at or has the focus stays where it is.
function show(list, event) {
  const frame = document.createElement("template");
  const by = new Map([...list.children].map((li) => [li.dataset.server, li]));
  for (const [key, html] of Object.entries(event.changed ?? {})) {
    frame.innerHTML = html;
    const fresh = frame.content.firstElementChild;
    const li = by.get(key);
    if (!li) {
      remember(fresh, fresh);
      times(fresh);
      by.set(key, fresh);
    } else update(li, fresh);
  }
  for (const li of [...list.children]) if (!event.order.includes(li.dataset.server)) li.remove();
  event.order.forEach((key, i) => { if (list.children[i] !== by.get(key)) list.insertBefore(by.get(key), list.children[i] ?? null); });
  if (event.usage !== undefined) {
    frame.innerHTML = event.usage;
    document.getElementById("quota").replaceChildren(frame.content);
  }
}

function update(li, fresh) {
  const known = parts.get(li.dataset.server);
  const focus = li.contains(document.activeElement) ? document.activeElement.dataset.key : undefined;
  const before = li.dataset.state;
  li.dataset.state = fresh.dataset.state;
  const changed = [...fresh.querySelectorAll("[data-part]")].filter((part) => known.get(part.dataset.part) !== part.outerHTML);
  remember(li, fresh);
  for (const part of changed) {
    times(part);
    li.querySelector(`[data-part="${part.dataset.part}"]`).replaceWith(part);
  }
  if (before !== li.dataset.state) {
    document.getElementById("said").textContent = `${li.querySelector("h2").textContent}: ${li.querySelector(".said").textContent}`;
  }
  if (focus && !li.contains(document.activeElement)) {
    (li.querySelector(`[data-key="${focus}"]`) ?? li.querySelector("[data-part=actions] a, [data-part=actions] button"))?.focus();
  }
}
