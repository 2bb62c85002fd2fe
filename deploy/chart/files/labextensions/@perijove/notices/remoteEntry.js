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

  // latest is when the latest notice was that was shown: for reloads and other tabs too, where the
  // browser lets pages keep something.
  const latest = {
    shown: "",
    get(key) {
      try {
        this.shown = localStorage.getItem(key) ?? this.shown;
      } catch {}
      return this.shown;
    },
    set(key, time) {
      this.shown = time;
      try {
        localStorage.setItem(key, time);
      } catch {}
    },
  };

  async function ask(app, page) {
    if (document.visibilityState !== "visible" || !app.commands.hasCommand(show)) return;
    const answer = await fetch(page.hubPrefix + "api/users/" + encodeURIComponent(page.hubUser), {
      headers: { Accept: "application/json" },
      redirect: "error",
    });
    if (!answer.ok) return;
    const { servers } = await answer.json();
    const own = Object.values(servers).find((s) => decodeURI(s.url) === decodeURI(page.baseUrl));
    const key = "perijove-notices:" + page.baseUrl;
    for (const notice of own?.notices ?? []) {
      if (latest.get(key) >= notice.time) continue; // RFC 3339 in UTC: text order is time order
      // JupyterLab fetches the code that shows notifications from this server, which must be back.
      if (!own.ready || !(await fetch(page.baseUrl + "api?no_track_activity=1")).ok) return;
      latest.set(key, notice.time);
      const at = new Date(notice.time).toLocaleTimeString([], { hour: "2-digit", minute: "2-digit" });
      await app.commands.execute(show, { message: at + " " + notice.text, type: "warning", options: { autoClose: false } });
    }
  }

  function activate(app) {
    try {
      const page = settings();
      // With a host for each user the hub is another origin, and does not answer this page.
      if (!page.hubPrefix || !page.hubUser || page.hubHost) return;
      let asking = null; // one question at a time: two would show the same notice
      const quietly = () => {
        asking ??= ask(app, page).catch(() => {}).finally(() => (asking = null));
      };
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
