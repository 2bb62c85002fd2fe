"""Waits in a pod of a pool until it is told whose server it is, and becomes that server.

usage: python3 waiting.py -- COMMAND ARGUMENT...

COMMAND starts JupyterLab; without one it is the command that the image's list names. All that
COMMAND imports is imported first, then the process listens on the server's port for one order
of the spawner. The order brings the user, the server's secret and the home. Until then the
process has none of them, and it writes nothing.

pkg/hub/spawn/order is the spawner's side. Standard library and Jupyter only, so that it works in
any image with jupyter_server 2.
"""

import asyncio
import collections
import contextlib
import gc
import hmac
import importlib
import json
import os
import pwd
import re
import runpy
import select
import shutil
import signal
import site
import socket
import ssl
import sys
import time

PORT = 8888
KEY_VARIABLE = "PERIJOVE_ORDER_KEY"
SHORTEST_KEY = 32

# pkg/hub/spawn/order has the same numbers.
EXIT_COMMAND, EXIT_UNFIT, EXIT_PORT, EXIT_HOME = 64, 65, 66, 67

LONGEST_HEAD = 8 << 10  # bytes
LONGEST_BODY = 256 << 10
EXCHANGE_SECONDS = 5
HOME_SECONDS = 20
# Where all are in use, the oldest connection makes room: neighbours that only connect keep the
# spawner out for no longer than it needs to send a packet.
CONNECTIONS = 64

# Variables that come late. What any other variable says is in this process from its beginning.
LATE = re.compile("HOME|JUPYTER.*|PERIJOVE_.*")
# Modules that read such variables while they are imported, and keep a path or an option. That is
# right as long as the order does not change the value; with another value the server is started
# anew. So a module that is not here is left out for fear that it does more, as reading a file.
HARMLESS = {
    "jupyter_core.paths",
    "jupyter_lsp.specs.utils",
    "jupyter_server_fileid.manager",
    "jupyter_server.gateway.gateway_client",
    "jupyterlab.labapp",
    "send2trash.plat_other",
}

LIST = "share/jupyter/preload.json"


def end(code, why):
    """End the process with one line, which becomes the pod's termination message."""
    print(f"perijove: {why}", file=sys.stderr, flush=True)
    raise SystemExit(code)


def inside_home(path):
    return os.path.abspath(path).startswith(os.path.expanduser("~").rstrip("/") + "/")


def image_list():
    """Return what the image says of itself: its command, and the modules of a finished start."""
    for prefix in dict.fromkeys((sys.prefix, "/usr/local", "/usr")):
        try:
            with open(os.path.join(prefix, LIST), encoding="utf-8") as file:
                found = json.load(file)
            return [str(word) for word in found.get("command", [])], [str(name) for name in found.get("modules", [])]
        except FileNotFoundError:
            continue
        except (OSError, ValueError, AttributeError, TypeError) as fault:
            end(EXIT_UNFIT, f"this image cannot wait: {prefix}/{LIST}: {fault}")
    return [], []


def resolve(command):
    """Return the Python program that a command runs, and its arguments."""
    name, args = os.path.basename(command[0]), command[1:]
    first = command[0]
    if name == "jupyter" and args[:1] == ["lab"]:
        first, args = first + "-lab", args[1:]
    elif name not in ("jupyter-lab", "quick-lab"):
        end(EXIT_COMMAND, f"{command[0]!r} is not a command that starts JupyterLab; a pool needs one: jupyter-lab")
    program = shutil.which(first)
    if program is None:
        end(EXIT_COMMAND, f"{first!r} is not in this image")
    return program, args


def interpreter(program):
    """Return the Python that a program's first lines name, or None."""
    with open(program, "rb") as file:
        first, second = file.readline(4096).decode("utf-8", "replace"), file.readline(4096).decode("utf-8", "replace")
    words = first[2:].split() if first.startswith("#!") else []
    if words and os.path.basename(words[0]) == "env":
        words = [word for word in words[1:] if not word.startswith("-")]
    elif words and os.path.basename(words[0]) == "sh" and second.startswith("'''exec' "):
        words = [second[len("'''exec' ") :].split(' "$0"')[0].strip('"')]  # pip's and conda's, where the path is long
    if not words or not os.path.basename(words[0]).startswith(("python", "pypy")):
        return None
    return shutil.which(words[0])


def same_python(python):
    """Say whether python is the one that runs: a folder tells virtual environments apart."""
    own = sys.executable
    return os.path.dirname(own) == os.path.dirname(python) and os.path.realpath(own) == os.path.realpath(python)


class Watch:
    """Notes which late variables are read while modules are imported, and names looked for in vain."""

    def __init__(self):
        self.read = {}  # by variable: its value, and the modules that were being imported
        self.missed = set()  # packages that were not there; a user may have them
        self.kept = {}

    def note(self, name):
        name = os.fsdecode(name)
        if LATE.fullmatch(name):
            frame = sys._getframe(2)
            while frame is not None and frame.f_code.co_name != "<module>":
                frame = frame.f_back
            module = frame.f_globals.get("__name__", "?") if frame else "?"
            self.read.setdefault(name, set()).add(module)

    def find_spec(self, name, path=None, target=None):
        """As the last finder: nobody has the module."""
        self.missed.add(name.partition(".")[0])

    def __enter__(self):
        environ, note = os._Environ, self.note

        def item(self, name, original=environ.__getitem__):
            note(name)
            return original(self, name)

        def names(self, original=environ.__iter__):
            for name in original(self):
                note(name)
                yield name

        def account(*args, original):
            note("HOME")  # the file of accounts has a home too
            return original(*args)

        replaced = {(environ, "__getitem__"): item, (environ, "__iter__"): names}
        for name in ("getpwuid", "getpwnam", "getpwall"):
            replaced[pwd, name] = lambda *args, original=getattr(pwd, name): account(*args, original=original)
        for (owner, name), function in replaced.items():
            self.kept[owner, name] = getattr(owner, name)
            setattr(owner, name, function)
        sys.meta_path.append(self)
        return self

    def __exit__(self, *_):
        for (owner, name), original in self.kept.items():
            setattr(owner, name, original)
        sys.meta_path.remove(self)

    def unfit(self):
        """Return the first reader that may keep what belongs to the pool, as a sentence, or None."""
        for name, modules in sorted(self.read.items()):
            for module in sorted(modules - HARMLESS - {__name__}):
                if module.partition(".")[0] not in sys.stdlib_module_names:
                    return f"{module} reads {name} while it is imported"
        return None


def import_all(program, modules):
    """Import what a finished start has, and return the program's function main."""
    try:
        names = runpy.run_path(program, run_name=os.path.basename(program))
    except Exception as fault:
        end(EXIT_UNFIT, f"this image cannot wait: {program} cannot be imported: {type(fault).__name__}: {fault}")
    if not callable(names.get("main")):
        end(EXIT_UNFIT, f"this image cannot wait: {program} has no function main, as jupyter-lab has")
    for name in modules or enabled_extensions():
        if name not in sys.modules:
            # Some names are no modules by themselves, and a broken extension is Jupyter's to report.
            with contextlib.suppress(BaseException):
                importlib.import_module(name)
    return names["main"]


def enabled_extensions():
    """Return the server extensions that this image enables."""
    from jupyter_core.paths import jupyter_config_path
    from jupyter_server.extension.config import ExtensionConfigManager

    folders = [folder for folder in jupyter_config_path() if not inside_home(folder)]
    found = ExtensionConfigManager(read_config_path=folders).get_jpserver_extensions()
    return [name for name, enabled in found.items() if enabled]


class Refused(Exception):
    """An answer other than yes: status and a line."""


def parse_order(body):
    """Return an order: home, late, env."""
    try:
        order = json.loads(body)
        home, late, env = order["home"], order["late"], order["env"]
        for name, value in env.items():
            if not name or "=" in name or "\0" in name + value:
                raise ValueError(name)
            os.fsencode(name + value)
        if not os.path.isabs(home) or env.get("HOME") != home or not isinstance(late, str):
            raise ValueError("home")
    except (ValueError, LookupError, TypeError, AttributeError, RecursionError):
        raise Refused(400, "that is no order") from None
    missing = [name for name in ("PERIJOVE_BASE_URL", "PERIJOVE_USER", "PERIJOVE_SERVER_SECRET") if not env.get(name)]
    if missing:
        raise Refused(400, "the order has no " + ", ".join(missing))
    return order


class Counter:
    """Takes one order on the server's port, from the one who has the key."""

    def __init__(self, key):
        self.key = ("Bearer " + key).encode()
        self.order = None
        self.open = {}  # the addresses of connections by their tasks, the oldest first

    async def run(self, listener, encrypted):
        """Return the order."""
        self.taken = asyncio.Event()
        self.listener = listener
        accepting = asyncio.ensure_future(self.accept(encrypted))
        await self.taken.wait()
        rest = [accepting, *self.open]
        for task in rest:
            task.cancel()
        await asyncio.gather(*rest, return_exceptions=True)
        return self.order

    async def accept(self, encrypted):
        loop = asyncio.get_running_loop()
        while True:
            try:
                connection, address = await loop.sock_accept(self.listener)
            except OSError:
                await asyncio.sleep(0.1)  # the neighbour has gone again, or there are too many
                continue
            if len(self.open) >= CONNECTIONS:
                self.make_room()
            task = asyncio.ensure_future(self.serve(connection, encrypted))
            self.open[task] = address[0]
            task.add_done_callback(self.close)

    def make_room(self):
        """End the oldest connection of the address that has the most."""
        greedy = collections.Counter(self.open.values()).most_common(1)[0][0]
        oldest = next(task for task, address in self.open.items() if address == greedy)
        del self.open[oldest]
        oldest.cancel()

    def close(self, task):
        self.open.pop(task, None)
        if not task.cancelled():
            task.exception()  # whatever a neighbour sent, the process waits on
        if self.order is not None:
            self.taken.set()

    async def serve(self, connection, encrypted):
        try:
            await asyncio.wait_for(self.exchange(connection, encrypted), EXCHANGE_SECONDS)
        finally:
            connection.close()

    async def exchange(self, connection, encrypted):
        """Read one request and answer it."""
        loop = asyncio.get_running_loop()
        reader = asyncio.StreamReader(limit=LONGEST_HEAD)
        protocol = asyncio.StreamReaderProtocol(reader)
        transport, _ = await loop.connect_accepted_socket(lambda: protocol, connection, ssl=encrypted)
        writer = asyncio.StreamWriter(transport, protocol, reader, loop)
        try:
            try:
                status, text = await self.answer(reader), ""
            except Refused as refused:
                status, text = refused.args
            writer.write(
                f"HTTP/1.1 {status} -\r\nServer: perijove-waiting\r\nConnection: close\r\n"
                f"Content-Length: {len(text)}\r\n\r\n{text}".encode()
            )
            writer.close()
            await writer.wait_closed()
        finally:
            transport.abort()

    async def answer(self, reader):
        head = await reader.readuntil(b"\r\n\r\n")
        start, *lines = head[:-4].split(b"\r\n")
        headers = [(name.strip().lower(), value.strip()) for name, _, value in (line.partition(b":") for line in lines)]
        keys = [value for name, value in headers if name == b"authorization"]
        if len(keys) != 1 or not hmac.compare_digest(keys[0], self.key):
            raise Refused(401, "the key is wrong")
        request = b" ".join(start.split(b" ")[:2])
        if request == b"GET /perijove/ready":
            return 204
        if request != b"POST /perijove/order":
            raise Refused(404, "there is no such thing here")
        lengths = [value for name, value in headers if name == b"content-length"]
        if len(lengths) != 1 or not re.fullmatch(rb"[0-9]{1,7}", lengths[0]) or int(lengths[0]) > LONGEST_BODY:
            raise Refused(400, "the order has no length, or is too long")
        order = parse_order(await reader.readexactly(int(lengths[0])))
        if self.order is not None:
            raise Refused(409, "another order was first")
        # From here on nobody else is let in: a refused connection means that the order is taken.
        self.order = order
        asyncio.get_running_loop().remove_reader(self.listener)
        self.listener.close()
        return 202


def encryption():
    """Return how to serve: with the pod's certificate where it has one, to the platform's clients."""
    proof = os.environ.get("PERIJOVE_PROOF", "")
    if not proof:
        return None
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(os.path.join(proof, "tls.crt"), os.path.join(proof, "tls.key"))
    context.load_verify_locations(os.path.join(proof, "ca.crt"))
    context.verify_mode = ssl.CERT_REQUIRED
    return context


def take_order(key):
    """Wait for the order, and return it."""
    try:
        listener, encrypted = socket.create_server(("0.0.0.0", PORT), backlog=512), encryption()
    except OSError as fault:  # of the certificate's files too
        end(EXIT_PORT, f"it cannot listen on port {PORT}: {fault}")
    listener.setblocking(False)
    print("perijove: waits for its order", file=sys.stderr, flush=True)
    loop = asyncio.new_event_loop()  # not the process's: the server makes that one, as always
    try:
        loop.set_exception_handler(lambda *_: None)  # a handshake that failed is worth no line
        return loop.run_until_complete(Counter(key).run(listener, encrypted))
    finally:
        loop.close()


def source_of(folder):
    """Return the source of the mount that lies on top of folder, or None (proc_pid_mountinfo(5))."""
    source = None
    with open("/proc/self/mountinfo", encoding="utf-8", errors="surrogateescape") as file:
        for line in file:
            front, _, back = line.partition(" - ")
            point = re.sub(r"\\([0-7]{3})", lambda match: chr(int(match[1], 8)), front.split(" ")[4])
            if point == folder:
                source = back.split(" ")[1]
    return source


def enter_home(home, late):
    """Wait until the home lies on its folder, and go there."""
    if late:
        with open("/proc/self/mountinfo", encoding="utf-8") as file:
            changes = select.poll()
            changes.register(file, select.POLLPRI)  # the kernel wakes it with every mount
            last = time.monotonic() + HOME_SECONDS
            while source_of(home) in (None, late):
                if time.monotonic() > last:
                    end(EXIT_HOME, f"the home did not come within {HOME_SECONDS} seconds")
                changes.poll(100)  # milliseconds; in case that it is woken once for two mounts
    try:
        os.chdir(home)
    except OSError as fault:
        end(EXIT_HOME, f"the home cannot be entered: {fault.strerror}")


def own_packages(env):
    """Return the folder of the user's own packages, or None where Python would not look at it."""
    if not site.ENABLE_USER_SITE or env.get("PYTHONNOUSERSITE"):
        return None
    site.USER_BASE = site.USER_SITE = None  # kept from the pool's home
    folder = site.getusersitepackages()
    return folder if os.path.isdir(folder) else None


def shadows(folder, watch):
    """Say why modules in folder may have to be there from the beginning of a process, or None."""
    for name in os.listdir(folder):
        if name.endswith((".pth", ".egg-link")) or name.startswith(("usercustomize", "sitecustomize")):
            return name
        if name.endswith((".dist-info", ".egg-info")):
            with contextlib.suppress(OSError), open(os.path.join(folder, name, "entry_points.txt"), encoding="utf-8") as file:
                if set(re.findall(r"^\[(.*)\]", file.read(), re.M)) - {"console_scripts", "gui_scripts"}:
                    return name
        module = name.partition(".")[0]
        if module in sys.modules or module in watch.missed:
            return name
    return None


def own_programs():
    """Return a configuration file of the user's that is a program: it may change what is imported after it."""
    from jupyter_core.paths import jupyter_config_path

    for folder in filter(inside_home, jupyter_config_path()):
        with contextlib.suppress(OSError):
            for name in os.listdir(folder):
                if re.fullmatch(r"jupyter.*_config\.py", name):
                    return name
    return None


def needs_new_process(before, env, watch):
    """Say why a process that has not waited must be the server, or None."""
    for name, value in env.items():
        if before.get(name) == value:
            continue
        if not LATE.fullmatch(name):
            return f"{name} is another one than that of the pool"
        if name in watch.read:
            return f"{name} was read before it was known"
    folder = own_packages(env)
    name = own_programs() or folder and shadows(folder, watch)
    return name and f"the home has {name}"


def join_own_packages(folder):
    """Put the user's packages where Python has them: before the image's, but not before a virtual environment's."""
    prefixes = {sys.base_prefix, sys.base_exec_prefix}
    places = {os.path.abspath(place) for place in site.getsitepackages(prefixes)}
    at = next((i for i, place in enumerate(sys.path) if os.path.abspath(place) in places), len(sys.path))
    sys.path.insert(at, folder)
    importlib.invalidate_caches()


def become(command, main, watch, order):
    """Be the server. The secret comes neither into the list of processes nor into /proc/PID/environ."""
    enter_home(order["home"], order["late"])
    before, env = dict(os.environ), order["env"]
    os.environ.update(env, PWD=order["home"])
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    reason = needs_new_process(before, env, watch)
    if reason:
        # As in a pod of its own, where the secret is in the environment too.
        print(f"perijove: starts anew, since {reason}", file=sys.stderr, flush=True)
        os.execvp(command[0], command)
    folder = own_packages(env)
    if folder:
        join_own_packages(folder)
    sys.exit(main())


def main(argv):
    if argv[:1] != ["--"]:
        end(EXIT_COMMAND, "usage: waiting.py -- COMMAND ARGUMENT...")
    # As the first process of its container it would not hear that the pod is deleted.
    signal.signal(signal.SIGTERM, lambda *_: os._exit(0))
    of_image, modules = image_list()
    command = argv[1:] or of_image
    if not command:
        end(EXIT_COMMAND, "the profile names no command, and the image has no list that does: see docs/images.md")
    program, args = resolve(command)
    python = interpreter(program)
    if python is None:
        end(EXIT_COMMAND, f"{program} is no Python program")
    if not same_python(python):
        os.execv(python, [python, os.path.abspath(__file__), *argv])
    key = os.environ.pop(KEY_VARIABLE, "")
    if len(key) < SHORTEST_KEY:
        end(EXIT_COMMAND, f"{KEY_VARIABLE} is missing or too short to be the one that the spawner made")
    # A container that is started again has its user's home already: what is in it comes with the order.
    sys.path[:] = [os.path.dirname(program), *(folder for folder in sys.path[1:] if not inside_home(folder))]
    sys.argv = [program, *args]
    gc.disable()
    with Watch() as watch:
        start = import_all(program, modules)
    if watch.unfit():
        end(EXIT_UNFIT, f"this image cannot wait: {watch.unfit()}")
    gc.collect()
    gc.freeze()  # modules stay
    gc.enable()
    become(command, start, watch, take_order(key))


if __name__ == "__main__":
    main(sys.argv[1:])
