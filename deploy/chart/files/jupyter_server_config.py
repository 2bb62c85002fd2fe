"""Makes a stock Jupyter server trust Perijove's gateway only.

The chart mounts this file into every notebook pod, in the folder that
JUPYTER_CONFIG_PATH names. The gateway sends two private headers with each
request that it has let in: this server's secret, and who the visitor is. A
request without the right secret has not come through the gateway, so it has no
identity, whatever else it says. Jupyter's own XSRF and Origin checks stay on,
except for requests that the gateway let in by an API token of the platform:
those come from scripts, and no cookie had a part in them.

Standard library and Jupyter only, so that it works in any image with
jupyter_server 2.
"""

import hmac
import mimetypes
import os
import re
import sys
import zlib
from datetime import datetime, timezone
from urllib.parse import unquote

from jupyter_server.auth.identity import IdentityProvider, User
from jupyter_server.base.handlers import APIHandler, FileFindHandler, JupyterHandler
from tornado.web import authenticated

PRIVATE_PREFIX = "x-perijove-"
SECRET_HEADER = "x-perijove-server-secret"
USER_HEADER = "x-perijove-user"
DISPLAY_NAME_HEADER = "x-perijove-display-name"
BY_TOKEN_HEADER = "x-perijove-by-token"

SECRET_VARIABLE = "PERIJOVE_SERVER_SECRET"
SHORTEST_SECRET = 32

# Where an image has JupyterLab's files for the gateway: see docs/images.md.
ASSETS = "/usr/local/share/perijove/assets"

# Tornado's default of 10 MiB ends the kernel's connection when a widget or a picture is larger.
WEBSOCKET_MESSAGE_BYTES = 100 << 20


def required(name):
    """Return an environment variable, or end the server.

    SystemExit and not an ordinary exception: Jupyter only warns about those in a
    configuration file, and would go on with its defaults.
    """
    value = os.environ.get(name, "")
    if not value:
        raise SystemExit(f"perijove: the environment variable {name} is missing; the server does not start without it")
    return value


BASE_URL = required("PERIJOVE_BASE_URL")
HUB_ORIGIN = os.environ.get("PERIJOVE_HUB_ORIGIN", "")
HUB_PREFIX = "/hub/"

# Envoy compresses replies of this type, and no JSON. Python knows none for these files.
mimetypes.add_type("application/source-map", ".map")

# The colours that JupyterLab's themes have for people who work together.
COLOURS = 7

SECRET = required(SECRET_VARIABLE).encode()
if len(SECRET) < SHORTEST_SECRET:
    raise SystemExit(f"perijove: {SECRET_VARIABLE} is too short to be the one that the spawner made")


def only(handler, name):
    """Return the value of a header that comes exactly once, else None."""
    values = handler.request.headers.get_list(name)
    return values[0] if len(values) == 1 else None


def read_once(handler):
    """Return the visitor or None, and whether an API token let the request in.

    The gateway's headers leave the request as soon as they are read: what is behind
    jupyter-server-proxy gets the request's headers, and would get the server's secret.
    """
    known = getattr(handler.request, "perijove", None)
    if known is None:
        user = visitor(handler)
        known = user, user is not None and only(handler, BY_TOKEN_HEADER) == "true"
        for name in list(handler.request.headers):
            if name.lower().startswith(PRIVATE_PREFIX):
                del handler.request.headers[name]
        handler.request.perijove = known
    return known


def visitor(handler):
    """Return who the gateway says sent the request, or None if it did not come through it."""
    secret = only(handler, SECRET_HEADER)
    if secret is None or not hmac.compare_digest(secret.encode("utf-8", "replace"), SECRET):
        return None
    username = unquote(only(handler, USER_HEADER) or "")
    if not username:
        return None
    name = unquote(only(handler, DISPLAY_NAME_HEADER) or "").strip() or username
    return User(username=username, name=name, display_name=name, initials=initials(name), color=colour(username))


def initials(name):
    """Return the first letters of the first and the last word of a name."""
    words = name.split()
    return "".join(word[0] for word in dict.fromkeys((words[0], words[-1]))).upper()


def colour(username):
    """Return the same colour for a user in every server and browser.

    JupyterLab draws lots when it is told none, and keeps the result for all users of a browser.
    """
    return f"var(--jp-collaborator-color{zlib.crc32(username.encode()) % COLOURS + 1})"


def is_use(request):
    """Say whether a request is its user's doing: a page is opened, or a file is changed.

    An open JupyterLab asks for kernels, terminals and files all the time, by itself.
    """
    if request.method in ("GET", "HEAD", "OPTIONS"):
        # Browsers leave Sec-Fetch-Mode out where the address is http and not localhost.
        navigates = request.headers.get("Sec-Fetch-Mode", "navigate") == "navigate"
        return navigates and "text/html" in request.headers.get("Accept", "")
    return request.path.startswith(BASE_URL + "api/contents")


def note_use(handler):
    """Let /api/status report the last use, and no other request, beside kernels and terminals.

    The spawner asks for it before it stops an idle server.
    """
    handler._track_activity = False
    if is_use(handler.request):
        used_now(handler)


def used_now(handler):
    handler.settings["perijove_last_activity"] = datetime.now(timezone.utc)


class Keep(APIHandler):
    """Counts as use: the user wants a server to go on that is about to be stopped.

    Jupyter's own XSRF check stands before it.
    """

    @authenticated
    def post(self):
        used_now(self)
        self.set_status(204)
        self.finish()


class HubLogout(JupyterHandler):
    """Leads JupyterLab's "Log Out" to the platform's page: a server has no login to end."""

    @authenticated
    def get(self):
        self.redirect(HUB_ORIGIN + HUB_PREFIX + "logout")


def slow_start():
    """Return what makes each start of this image slow, for the one who builds it: see docs/images.md."""
    reasons = []
    # The package itself may be looked for in vain.
    if "rfc3987_syntax.syntax_helpers" in sys.modules:
        reasons.append("rfc3987-syntax builds a grammar at each start, and Jupyter does without: pip uninstall rfc3987-syntax")
    bytecode = getattr(sys.modules.get("jupyter_server.serverapp"), "__cached__", None)
    if bytecode and not os.path.exists(bytecode):
        reasons.append("Python's packages have no bytecode and are compiled at each start: python3 -m compileall")
    return reasons


def shared_assets():
    """Return the digest of JupyterLab's files that the gateway has for all servers of this image, and where they are here.

    ("", "") where it has none, or others: the program's first script names all its files by
    their content, so a JupyterLab of the user's own, or an image with another one, has another name.
    """
    digest = os.environ.get("PERIJOVE_ASSETS", "")
    commands = sys.modules.get("jupyterlab.commands")  # there is no other program with this page
    if not digest or commands is None:
        return "", ""
    try:
        static = os.path.join(commands.get_app_dir(), "static")
        with open(os.path.join(static, "index.html"), encoding="utf-8") as page:
            script = re.search(r"main\.[0-9a-f]{16,}\.js", page.read())
        if script and os.path.isfile(os.path.join(ASSETS, digest, script[0])):
            return digest, static
    except OSError:
        pass  # another layout of files: they come from this server
    return "", ""


class PerijoveIdentityProvider(IdentityProvider):
    """Knows a visitor by the gateway's headers."""

    # There is nothing to log in to here: the gateway has its own pages.
    auth_enabled = True
    login_available = False
    logout_available = True
    logout_handler_class = HubLogout

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        # JupyterLab's "Restart" of a stopped server leads to the page of the server with this
        # name. Without it users would start their default server instead.
        self.parent.server_name = unquote(BASE_URL.split("/")[3])  # /user/alice/, /user/alice/demo/
        # The command `jupyter lab` puts its own default over that of any file.
        self.parent.default_url = os.environ.get("PERIJOVE_DEFAULT_URL") or self.parent.default_url
        # Kernels and terminals inherit the environment; a notebook that prints it,
        # perhaps in front of others, should not print this.
        os.environ.pop(SECRET_VARIABLE, None)
        # Here and not below: a user's own file may name another size, and that counts.
        self.parent.tornado_settings.setdefault("websocket_max_message_size", WEBSOCKET_MESSAGE_BYTES)
        for reason in slow_start():
            self.log.warning("perijove: this image starts slowly: %s", reason)

    def get_handlers(self):
        own = [(r"/perijove/keep", Keep)]
        if STATIC:
            # The gateway leads browsers here for what it has no more, or cannot get.
            own.append((r"/perijove/lab/(.*)", FileFindHandler, {"path": [STATIC]}))
        return [*super().get_handlers(), *own]

    def get_user(self, handler):
        user = read_once(handler)[0]
        if user is not None:
            note_use(handler)
        return user

    def is_token_authenticated(self, handler):
        """Say whether a script sent the request: then no XSRF token is asked for."""
        return read_once(handler)[1]


c = get_config()  # noqa: F821 (Jupyter puts it there)

c.ServerApp.identity_provider_class = PerijoveIdentityProvider
c.ServerApp.allow_unauthenticated_access = False
# get_user looks at no token; without this line Jupyter makes one up and logs it.
c.PerijoveIdentityProvider.token = ""

# The address that the gateway knows; on another port the server could not be reached.
c.ServerApp.ip = "0.0.0.0"
c.ServerApp.port = 8888
c.ServerApp.port_retries = 0
c.ServerApp.base_url = BASE_URL
c.ServerApp.allow_remote_access = True
c.ServerApp.trust_xheaders = True

# With this certificate the server proves to the gateway which pod it is. It answers only
# clients that show a certificate of the platform, before it reads a request.
PROOF = os.environ.get("PERIJOVE_PROOF", "")
if PROOF:
    c.ServerApp.certfile = os.path.join(PROOF, "tls.crt")
    c.ServerApp.keyfile = os.path.join(PROOF, "tls.key")
    c.ServerApp.client_ca = os.path.join(PROOF, "ca.crt")

c.ServerApp.root_dir = os.path.expanduser("~")
c.ServerApp.default_url = "/lab"
c.ServerApp.open_browser = False
c.ServerApp.quit_button = False
c.FileContentsManager.delete_to_trash = False

# JupyterLab shows its hub menu (Hub Control Panel, Log Out) when it finds these. Added to what
# a user's own file says, as everything that is a dict or a list must be.
c.ServerApp.tornado_settings.update(
    {
        "hub_prefix": HUB_PREFIX,
        "hub_host": HUB_ORIGIN,
        "user": required("PERIJOVE_USER"),
    }
)

# A small extension that shows what happened to the server: see labextensions/@perijove/notices.
# Of all applications that have JupyterLab's extensions, and beside those of a user's own file.
c.LabServerApp.extra_labextensions_path.append(os.path.join(os.path.dirname(os.path.abspath(__file__)), "labextensions"))

DIGEST, STATIC = shared_assets()
if DIGEST:
    c.LabApp.override_static_url = f"/assets/lab/{DIGEST}/"

# Servers may have no way to the internet, and users do not choose the version.
c.LabApp.news_url = None
c.LabApp.check_for_updates_class = "jupyterlab.NeverCheckForUpdate"
