// Shows in JupyterLab what the hub says about this server: that it ran out of memory and was
// started again. The page itself notices only that its kernels are gone.
//
// A prebuilt extension as JupyterLab 4 loads it: a container with init and get. It is written by
// hand and shares no module, so that it fits every version. Whatever fails here stays here.
"use strict";

(() => {
  const name = "@perijove/notices";
  const show = "apputils:notify"; // JupyterLab's own command
  const every = 60_000; // ms between questions of a page that is looked at
  const afterBreak = [2_000, 5_000, 10_000, 20_000, 40_000]; // ms after the connection broke: the server has to come back

  function settings() {
    return JSON.parse(document.getElementById("jupyter-config-data").textContent);
  }

  // seen keeps the time of the latest notice that was shown, for reloads and other tabs.
  function seen(key, time) {
    try {
      if ((localStorage.getItem(key) ?? "") >= time) return true; // RFC 3339 in UTC: text order is time order
      localStorage.setItem(key, time);
    } catch {
      // Storage is switched off or full: what this page has shown is known below.
    }
    const before = shown.has(time);
    shown.add(time);
    return before;
  }
  const shown = new Set();

  async function ask(app, page) {
    if (document.visibilityState !== "visible" || !app.commands.hasCommand(show)) return;
    const answer = await fetch(page.hubPrefix + "api/users/" + encodeURIComponent(page.hubUser), {
      headers: { Accept: "application/json" },
      redirect: "error",
    });
    if (!answer.ok) return;
    const { servers } = await answer.json();
    const own = Object.values(servers).find((s) => decodeURI(s.url) === decodeURI(page.baseUrl));
    // JupyterLab fetches the code that shows notifications from this server, which must be back.
    if (!own?.ready || !(await fetch(page.baseUrl + "api")).ok) return;
    for (const notice of own.notices ?? []) {
      if (seen("perijove-notices:" + page.baseUrl, notice.time)) continue;
      const at = new Date(notice.time).toLocaleTimeString([], { hour: "2-digit", minute: "2-digit" });
      await app.commands.execute(show, { message: at + " " + notice.text, type: "warning", options: { autoClose: false } });
    }
  }

  function activate(app) {
    try {
      const page = settings();
      // With a host for each user the hub is another origin, and does not answer this page.
      if (!page.hubPrefix || !page.hubUser || page.hubHost) return;
      const quietly = () => ask(app, page).catch(() => {});
      let last = 0;
      const seldom = () => {
        if (Date.now() - last < every || document.visibilityState !== "visible") return;
        last = Date.now();
        quietly();
      };
      app.restored.then(seldom, () => {});
      setInterval(seldom, every / 4);
      document.addEventListener("visibilitychange", seldom);
      let waits = [];
      const soon = () => {
        if (waits.length > 0) return;
        last = 0; // a page that is hidden now asks when it is looked at
        waits = afterBreak.map((ms) => setTimeout(quietly, ms));
        setTimeout(() => (waits = []), afterBreak.at(-1));
      };
      app.serviceManager.connectionFailure.connect(soon);
      app.serviceManager.kernels.runningChanged.connect(soon); // a quick restart shows by its lost kernels only
    } catch (error) {
      console.debug(name, error);
    }
  }

  const plugin = { id: name + ":plugin", description: "Shows what happened to the server.", autoStart: true, activate };
  (window._JUPYTERLAB ??= {})[name] = { init: () => {}, get: async () => () => ({ default: plugin, __esModule: true }) };
})();
