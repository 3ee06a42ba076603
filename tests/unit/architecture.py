"""The design as checks, each a function from a module to complaints: layers, doors, purity, sizes.

What they know is in tables at the top: to add a layer, a door or a cheap module is to add a row.
"""

import ast
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PACKAGE = "mesos_cni_port_mapper"
DELEGATES = "delegates"
LONGEST_FILE = 320

LAYERS = (
    "value",
    "linux",
    "cni",
    "portmap",
    "netfilter",
    "port_mapper",
    "delegates",
    "isolator",
    "harness",
    "libiptc",
    "explain",
    "doctor",
    "cli",
    "__main__",
)
"""From below to above: a module imports from its own layer and those before it."""

APART = {
    "delegates": {"port_mapper"},
    "isolator": {"portmap", "netfilter", "port_mapper", "delegates"},
    "harness": {"delegates"},
    "libiptc": {"netfilter", "port_mapper", "delegates", "isolator", "harness"},
    "explain": {"port_mapper", "delegates", "libiptc"},
    "doctor": {"port_mapper", "delegates", "libiptc"},
    "cli": {"libiptc"},
    "__main__": {"delegates", "isolator", "harness", "libiptc", "explain", "doctor", "cli"},
}
"""Layers that know nothing of some below them, although the order would allow it."""

PLUGIN = ("value", "linux", "cni", "portmap", "netfilter", "port_mapper", "__main__")
"""The layers that the plugin is made of. The harness has doors of its own."""

DOORS: dict[str, str | tuple[str, ...]] = {
    "_json": "cni.codec",
    "json": "cni.codec",
    "_socket": (
        "cni.address",
        "cni.workers",
        "linux.descriptors",
        "linux.host",
        "linux.interfaces",
        "linux.journal",
        "linux.netlink",
    ),
    "socket": "",
    "fcntl": ("linux.descriptors", "linux.lock"),
    "subprocess": "",
    "multiprocessing": "",
    "ctypes": "linux.syscalls",
    "os.posix_spawn": "linux.process",
    "os.posix_spawnp": "",
    "os.fork": "cni.workers",
    "os.system": "",
    "os.popen": "",
    "os.execv": "",
    "os.execve": "",
    "os._exit": ("cni.program", "cni.workers"),
    "sys.stdout": "",
    "sys.stderr": "",
    "sys.__excepthook__": "cni.skeleton",
    "print": "",
    "iptc": "",
    "pyroute2": "",
    "click": "",
    "docker": "",
}
"""Outside things, each with the one module of the plugin that may touch it, or none, or a few."""

DELEGATE_DOORS = {
    **DOORS,
    "_json": "",
    "json": "",
    "_socket": "delegates.route_socket",
    "fcntl": "",
    "ctypes": "",
    "os.fork": "",
    "os.posix_spawn": "",
    "os._exit": "",
    "sys.__excepthook__": "",
    "pyroute2": "delegates.messages",
}
"""The same for the delegates, who share the plugin's doors to most of it."""

LIBIPTC = "libiptc"
LIBIPTC_DOORS = {
    **DOORS,
    "socket": ("libiptc.listing", "libiptc.rule"),
    "ctypes": (
        "libiptc.bindings",
        "libiptc.extensions",
        "libiptc.listing",
        "libiptc.rule",
        "libiptc.table",
    ),
    "os._exit": ("libiptc.extensions", "libiptc.program"),
    "iptc": "libiptc.bindings",
}
"""The same for the program on python-iptables, which is C structures most of the way down."""

COMMON_DOORS = {"docker": "harness.docker", "iptc": ""}
"""The same for everything else, which is free to use what it likes but these."""

STDOUT = "cni.skeleton"
STDERR = "linux.stderr"

CHEAP = frozenset(
    "__future__ _blake2 _json _signal _socket errno fcntl gc os select struct sys time".split()  # noqa: SIM905
)
"""What the hot path may import at module level (docs/decisions, start-up)."""

IMPURE = frozenset("os sys time fcntl select _signal _socket socket subprocess".split())  # noqa: SIM905
PURE_LAYERS = ("portmap", "explain")
ACTING = ("explain.observation",)
"""The modules of pure layers that look at the world for the others."""
PURE_PREFIXES = ("plan_", "parse_", "render_", "encode_", "decode_")
ACTS = ("print", "open", "input", "exec", "eval")


@dataclass(frozen=True)
class Module:
    """A module of the package, named from below the package's root."""

    name: str
    tree: ast.Module

    @property
    def layer(self) -> str:
        return self.name.partition(".")[0]


@dataclass(frozen=True)
class Import:
    """One imported module, and where: at module level, for the type checker alone, or later."""

    name: str
    line: int
    lazy: bool
    types: bool


def modules() -> list[Module]:
    return [Module(name_of(path), ast.parse(path.read_text())) for path in sources()]


def sources() -> list[Path]:
    return sorted((ROOT / PACKAGE).rglob("*.py")) + sorted((ROOT / DELEGATES).rglob("*.py"))


def name_of(path: Path) -> str:
    root = ROOT / PACKAGE if path.is_relative_to(ROOT / PACKAGE) else ROOT
    parts = path.relative_to(root).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def imports_of(module: Module) -> list[Import]:
    return list(_imports(module.tree, lazy=False, types=False))


def _imports(node: ast.AST, *, lazy: bool, types: bool) -> Iterator[Import]:
    if isinstance(node, ast.Import | ast.ImportFrom):
        for name in _names(node):
            yield Import(name, node.lineno, lazy, types)
    elif isinstance(node, ast.If) and _is_type_checking(node.test):
        for statement in node.body:
            yield from _imports(statement, lazy=lazy, types=True)
        for statement in node.orelse:
            yield from _imports(statement, lazy=lazy, types=types)
    else:
        inside = lazy or isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)
        for child in ast.iter_child_nodes(node):
            yield from _imports(child, lazy=inside, types=types)


def _names(node: ast.Import | ast.ImportFrom) -> list[str]:
    names = [alias.name for alias in node.names]
    if isinstance(node, ast.Import):
        return names
    source = node.module or ""
    # `from package.layer import module` imports the module.
    ours = source.partition(".")[0] in (PACKAGE, DELEGATES)
    return [f"{source}.{name}" for name in names] if ours else [source]


def _is_type_checking(test: ast.expr) -> bool:
    return isinstance(test, ast.Name) and test.id == "TYPE_CHECKING"


def own_part(name: str) -> str:
    """Return the name below the package's root, or "" for what is not ours or stands above all."""
    if name.startswith(f"{DELEGATES}."):
        return name
    own = name.removeprefix(f"{PACKAGE}.")
    return "" if own in (name, "__version__") else own


def check_order(module: Module) -> list[str]:
    complaints = []
    for item in imports_of(module):
        target = own_part(item.name).partition(".")[0]
        if not target or not module.layer:
            continue
        if target not in LAYERS or module.layer not in LAYERS:
            complaints.append(f"{module.name}:{item.line} {item.name} is in no layer")
        elif LAYERS.index(target) > LAYERS.index(module.layer):
            complaints.append(f"{module.name}:{item.line} imports {item.name} from above")
        elif target in APART.get(module.layer, ()):
            complaints.append(f"{module.name}:{item.line} has no business with {item.name}")
    return complaints


def check_doors(module: Module) -> list[str]:
    doors = _doors_for(module.layer)
    used = [(item.name, item.line) for item in imports_of(module) if not item.types]
    for node in ast.walk(module.tree):
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
            used.append((f"{node.value.id}.{node.attr}", node.lineno))
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
            used.append((node.func.id, node.lineno))
        elif isinstance(node, ast.ImportFrom) and node.module:
            used += [(f"{node.module}.{alias.name}", node.lineno) for alias in node.names]
    return [
        f"{module.name}:{line} uses {name}; who may: {' '.join(allowed) or 'nobody'}"
        for name, line in used
        for allowed in [doors_of(name, doors, module.name)]
        if module.name not in allowed
    ]


def _doors_for(layer: str) -> Mapping[str, str | tuple[str, ...]]:
    apart = {DELEGATES: DELEGATE_DOORS, LIBIPTC: LIBIPTC_DOORS, **dict.fromkeys(PLUGIN, DOORS)}
    return apart.get(layer, COMMON_DOORS)


def doors_of(name: str, doors: Mapping[str, str | tuple[str, ...]], user: str) -> tuple[str, ...]:
    """Return the modules that may touch an outside thing; its ``user`` where it is none."""
    door = doors.get(name, doors.get(name.partition(".")[0], user))
    return door if isinstance(door, tuple) else (door,) if door else ()


def check_streams(module: Module) -> list[str]:
    """Writes to a number, and to what is called stdout, stand where they belong."""
    complaints = []
    for node in ast.walk(module.tree):
        if not (
            module.layer in (*PLUGIN, DELEGATES)
            and isinstance(node, ast.Call)
            and _is(node.func, "os", "write")
        ):
            continue
        file = node.args[0]
        if isinstance(file, ast.Constant) and (file.value, module.name) != (2, STDERR):
            complaints.append(f"{module.name}:{node.lineno} writes to {file.value!r}")
        if isinstance(file, ast.Name) and file.id == "stdout" and module.name != STDOUT:
            complaints.append(f"{module.name}:{node.lineno} writes to stdout")
    return complaints


def _is(node: ast.expr, owner: str, attribute: str) -> bool:
    return (
        isinstance(node, ast.Attribute)
        and node.attr == attribute
        and isinstance(node.value, ast.Name)
        and node.value.id == owner
    )


def check_purity(module: Module) -> list[str]:
    if module.layer not in PURE_LAYERS or module.name in ACTING:
        return []
    complaints = [
        f"{module.name}:{item.line} imports {item.name}"
        for item in imports_of(module)
        if item.name in IMPURE or own_part(item.name).partition(".")[0] == "linux"
    ]
    return complaints + [
        f"{module.name}:{node.lineno} calls {node.func.id}"
        for node in ast.walk(module.tree)
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in ACTS
    ]


def check_pure_names(module: Module) -> list[str]:
    """A function named like a decision does not act: no call on os, time or a module that acts."""
    complaints = []
    for node in ast.walk(module.tree):
        if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            continue
        if node.name.lstrip("_").startswith(PURE_PREFIXES):
            complaints += [
                f"{module.name}:{call.lineno} {node.name} calls {ast.unparse(call.func)}"
                for call in ast.walk(node)
                if isinstance(call, ast.Call) and _acts(call.func)
            ]
    return complaints


def _acts(function: ast.expr) -> bool:
    if isinstance(function, ast.Name):
        return function.id in ACTS
    owner: ast.expr = function
    while isinstance(owner, ast.Attribute):
        owner = owner.value
    text = ast.unparse(function)
    return (
        isinstance(owner, ast.Name)
        and owner.id in {*IMPURE, "files", "lock", "process", "stderr", "shutil"}
        and not text.startswith(("os.path.join", "os.fspath", "os.fsencode", "os.fsdecode"))
        and text != "os.path.basename"
    )


def check_hot_path(module: Module) -> list[str]:
    return [
        f"{module.name}:{item.line} imports {item.name} at module level"
        for item in imports_of(module)
        if not item.lazy
        and not item.types
        and not item.name.startswith((f"{PACKAGE}.", f"{DELEGATES}."))
        and item.name not in CHEAP
    ]


def check_asserts(module: Module) -> list[str]:
    return [
        f"{module.name}:{node.lineno} asserts, and optimising strips that"
        for node in ast.walk(module.tree)
        if isinstance(node, ast.Assert)
    ]


def check_postponed_annotations(module: Module) -> list[str]:
    """Types imported for the checker alone are names that do not exist when the code runs."""
    body = [node for node in module.tree.body if not _is_docstring(node)]
    if any(item.types for item in imports_of(module)) and not (
        body and isinstance(body[0], ast.ImportFrom) and body[0].module == "__future__"
    ):
        return [f"{module.name}: has types that only annotations from the future can name"]
    return []


def _is_docstring(node: ast.stmt) -> bool:
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)


def check_text(name: str, text: str) -> list[str]:
    lines = text.splitlines()
    complaints = [f"{name}: {len(lines)} lines"] if len(lines) > LONGEST_FILE else []
    return complaints + [
        f"{name}:{number} puts something off"
        for number, line in enumerate(lines, 1)
        if any(word in line for word in ("TO" + "DO", "FIX" + "ME", "XX" + "X"))
    ]


def reachable(start: str, by_name: dict[str, Module]) -> set[str]:
    """Return the modules that running `start` may load, those imported inside functions too."""
    found: set[str] = set()
    pending = [start]
    while pending:
        name = pending.pop()
        if name in found or name not in by_name:
            continue
        found.add(name)
        # A module brings the packages it is in, and an imported name may be no module.
        targets = [own_part(item.name) for item in imports_of(by_name[name]) if not item.types]
        pending += targets + [target.rpartition(".")[0] for target in [name, *targets]]
    return found
