// Shows in JupyterLab what the hub says about this server: that it ran out of memory and was
// started again, which the page itself notices by its lost kernels only, and that it will soon be
// stopped. A button keeps a server that is not in use.
//
// A prebuilt extension as JupyterLab 4 loads it: a container with init and get. It is written by
// hand and shares no module, so that it fits every version. Whatever fails here stays here.
"use strict";

(() => {
  const name = "@perijove/notices";
  const show = "apputils:notify"; // JupyterLab's own commands
  const hide = "apputils:dismiss-notification";
  const keep = "perijove:keep";
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

  // warned is the warning that is shown: its moment, and JupyterLab's id of the notification. kept is the
  // moment of one that the user has put off: the hub knows it a minute later.
  const warned = { at: "", id: "", kept: "" };

  async function warn(app, warning) {
    const at = warning && warning.time !== warned.kept ? warning.time : "";
    if (at === warned.at) return;
    if (warned.id) await app.commands.execute(hide, { id: warned.id });
    warned.at = warned.id = "";
    if (!at) return;
    const minutes = Math.max(1, Math.round((new Date(at) - Date.now()) / 60_000));
    const when = new Date(at).toLocaleTimeString([], { hour: "2-digit", minute: "2-digit" }) + " (" + minutes + " min)";
    const actions = warning.keep ? [{ label: warning.keep, commandId: keep, displayType: "accent" }] : [];
    warned.id = await app.commands.execute(show, { message: when + " " + warning.text, type: "warning", options: { autoClose: false, actions } });
    warned.at = at;
  }

  // keepRunning tells the server that it is in use. It says so itself when the spawner asks once more.
  async function keepRunning(page) {
    const at = warned.at;
    const xsrf = document.cookie.match(/(?:^|; )_xsrf=([^;]+)/);
    const answer = await fetch(page.baseUrl + "perijove/keep", { method: "POST", headers: { "X-XSRFToken": xsrf ? xsrf[1] : "" } });
    if (answer.ok) Object.assign(warned, { at: "", id: "", kept: at });
    else window.open(page.hubPrefix + "home", "_blank"); // a server from before an upgrade
  }

  async function ask(app, page) {
    if (document.visibilityState !== "visible" || !app.commands.hasCommand(show)) return;
    const answer = await fetch(page.hubPrefix + "api/users/" + encodeURIComponent(page.hubUser), {
      headers: { Accept: "application/json" },
      redirect: "error",
    });
    if (!answer.ok) return;
    const { servers } = await answer.json();
    const own = Object.values(servers).find((s) => decodeURI(s.url) === decodeURI(page.baseUrl));
    if (own?.ready) await warn(app, own.warning);
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
      app.commands.addCommand(keep, { label: "Keep the server running", isVisible: () => false, execute: () => keepRunning(page) });
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
