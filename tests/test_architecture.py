"""The arrows between rooms run one way, every room has one door, and no file is two."""

from __future__ import annotations

import ast
import shutil
from collections import defaultdict
from graphlib import CycleError, TopologicalSorter
from pathlib import Path
from typing import NamedTuple

import pytest

import streamnorm

PACKAGE = Path(streamnorm.__file__).parent

#: What each room may import of the others; each names only rooms above it, so that there is no circle of rooms.
ROOMS = {
    "errors": "",
    "version": "",
    "once": "",
    "kernel": "",
    "arrow": "errors",
    "files": "errors once",
    "summaries": "errors once kernel",
    "plans": "kernel",
    "formats": "errors once kernel arrow files",
    "columns": "errors kernel arrow summaries plans",
    "inputs": "errors once arrow files formats",
    "rules": "errors once kernel arrow summaries plans columns",
    "tables": "errors once kernel arrow summaries plans columns rules",
    "normalizers": "errors once kernel arrow summaries plans columns rules tables",
    "states": "errors arrow files summaries rules tables normalizers",
    "jobs": "version errors once kernel arrow files formats inputs summaries tables normalizers states",
    "streams": "errors files formats inputs tables states jobs",
    "engines": "errors arrow formats inputs tables states jobs",
    "export": "errors files plans summaries tables normalizers states",
    "report": "errors once kernel files plans summaries tables states",
    "cli": "version errors kernel formats inputs rules tables states jobs streams export report",
    "command": "cli",
    "__init__": "version",
}
#: Rooms whose files are imported by name, since their doors are lazy: one pays for what is asked for.
LAZY = {"normalizers", "engines", "cli"}
#: The only exemption: a notebook's picture and `to_sklearn` are methods, and answered by the public functions above.
EXEMPT = {("normalizers/table_normalizer.py", "__init__")}
#: What only one room may import at the top of a file, or none.
ONLY_IN = {"sklearn": {"normalizers"}, "pandas": set(), "polars": set(), "duckdb": set(), "pyarrow.dataset": set()}


class Import(NamedTuple):
    """Something that a file imports: the module, the names if there are any, and whether at the top of the file."""

    file: str
    module: str
    names: tuple[str, ...]
    at_top: bool


def imports_of(package: Path) -> list[Import]:
    """Give every import of a package, outside of ``if TYPE_CHECKING``."""
    found = []
    for path in sorted(package.rglob("*.py")):
        tree = ast.parse(path.read_text())
        for node in ast.walk(tree):
            if isinstance(node, ast.If) and isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING":
                node.body = []
        top = set(map(id, tree.body))
        file = path.relative_to(package).as_posix()
        for node in ast.walk(tree):
            if isinstance(node, ast.ImportFrom):
                assert not node.level, f"{file} has a relative import"
                found.append(Import(file, node.module, tuple(a.name for a in node.names), id(node) in top))
            elif isinstance(node, ast.Import):
                found += [Import(file, alias.name, (), id(node) in top) for alias in node.names]
    return found


def room_of(file: str) -> str:
    return file.partition("/")[0].removesuffix(".py")


def crossings(package: Path) -> list[tuple[Import, str]]:
    """Give each import of another room with that room; the package's own name stands for its face."""
    found = []
    for item in imports_of(package):
        if item.module == "streamnorm":
            targets = {name if name in ROOMS else "__init__" for name in item.names} or {"__init__"}
        elif item.module.startswith("streamnorm."):
            targets = {item.module.split(".")[1]}
        else:
            continue
        found += [(item, target) for target in targets if target != room_of(item.file)]
    return found


def wrong_arrows(package: Path) -> list[str]:
    return [
        f"{item.file} imports {target}"
        for item, target in crossings(package)
        if (item.file, target) not in EXEMPT and target not in ROOMS.get(room_of(item.file), "").split()
    ]


def unused_arrows(package: Path) -> set[tuple[str, str]]:
    """Find permissions and exemptions that nothing needs."""
    found = crossings(package)
    allowed = {(room, other) for room, others in ROOMS.items() for other in others.split()}
    used = {(room_of(item.file), target) for item, target in found} | {(item.file, target) for item, target in found}
    return (allowed | EXEMPT) - used


def past_the_door(package: Path) -> list[str]:
    """Find imports of a file in another room, or of a file by way of its door."""
    files = {path.relative_to(package).with_suffix("").as_posix().replace("/", ".") for path in package.rglob("*.py")}
    defined = {room: names_of_door(package, room) for room in ROOMS}
    found = []
    for item, target in crossings(package):
        if target in LAZY:
            continue
        inside = item.module.count(".") > 1
        by_way = {name for name in item.names if f"{target}.{name}" in files} - defined[target]
        if inside or (item.module == f"streamnorm.{target}" and by_way):
            found.append(f"{item.file} imports {item.module} {item.names}")
    return found


def names_of_door(package: Path, room: str) -> set[str]:
    door = package / room / "__init__.py"
    if not door.exists():
        return set()
    nodes = ast.parse(door.read_text()).body
    return {alias.asname or alias.name for node in nodes if isinstance(node, ast.ImportFrom) for alias in node.names}


def circles_inside(package: Path) -> list[str]:
    """Find circles of files within a room, late imports included; a door is above all of its files."""
    graphs: dict[str, dict[str, set[str]]] = defaultdict(lambda: defaultdict(set))
    for item in imports_of(package):
        room = room_of(item.file)
        if (package / room).is_dir() and item.module.startswith(f"streamnorm.{room}"):
            own = "streamnorm." + item.file.removesuffix(".py").removesuffix("/__init__").replace("/", ".")
            for name in item.names or ("",):
                whole = f"{item.module}.{name}"
                place = package.parent / whole.replace(".", "/")
                is_module = place.with_suffix(".py").exists() or place.is_dir()
                graphs[room][own].add(whole if is_module else item.module)
    found = []
    for room, graph in graphs.items():
        try:
            TopologicalSorter(graph).prepare()
        except CycleError as error:
            found.append(f"{room}: {error.args[1]}")
    return found


def heavy_imports(package: Path) -> list[str]:
    return [
        f"{item.file} imports {item.module} at its top"
        for item in imports_of(package)
        for name, rooms in ONLY_IN.items()
        if item.at_top and f"{item.module}.".startswith(f"{name}.") and room_of(item.file) not in rooms
    ]


def locked_properties(package: Path) -> list[str]:
    """Find what would hang in a process that is forked while another thread computes it."""
    return [
        f"{item.file} imports functools.cached_property: use `once`"
        for item in imports_of(package)
        if item.module == "functools" and "cached_property" in item.names
    ]


def test_every_file_is_in_a_room():
    found = {room_of(path.relative_to(PACKAGE).as_posix()) for path in PACKAGE.rglob("*.py")}
    assert found - {"_build"} == set(ROOMS)


def test_rooms_name_only_rooms_above_them():
    order = list(ROOMS)
    for room, others in ROOMS.items():
        assert set(others.split()) <= set(order[: order.index(room)]), room


@pytest.mark.parametrize(
    "check",
    [wrong_arrows, unused_arrows, past_the_door, circles_inside, heavy_imports, locked_properties],
    ids=lambda f: f.__name__,
)
def test_arrows(check):
    assert list(check(PACKAGE)) == []


@pytest.mark.parametrize(
    ("check", "file", "text"),
    [
        (wrong_arrows, "plans/plans.py", "from streamnorm.errors import DataError"),
        (wrong_arrows, "cli/group.py", "from streamnorm.files import replacing"),
        (wrong_arrows, "jobs/fit.py", "import streamnorm"),
        (past_the_door, "jobs/fit.py", "from streamnorm.formats.csv.reader import CsvReader"),
        (past_the_door, "jobs/fit.py", "from streamnorm.formats import registry"),
        (circles_inside, "files/places.py", "from streamnorm.files.stamps import stamp"),
        (circles_inside, "files/places.py", "def late():\n    from streamnorm.files import stamps"),
        (circles_inside, "files/places.py", "from streamnorm.files import naming"),
        (heavy_imports, "rules/family.py", "import sklearn.base"),
        (heavy_imports, "normalizers/estimators.py", "import pandas"),
        (locked_properties, "jobs/fit.py", "from functools import cached_property"),
    ],
)
def test_a_planted_fault_is_found(check, file, text, tmp_path):
    shutil.copytree(PACKAGE, tmp_path / "streamnorm", ignore=shutil.ignore_patterns("*.so", "__pycache__"))
    with (tmp_path / "streamnorm" / file).open("a") as planted:
        planted.write(f"\n{text}\n")
    assert list(check(tmp_path / "streamnorm"))


def test_a_planted_permission_is_found(monkeypatch):
    monkeypatch.setitem(ROOMS, "plans", "errors kernel")
    assert unused_arrows(PACKAGE) == {("plans", "errors")}


@pytest.mark.parametrize("door", sorted(PACKAGE.rglob("*/__init__.py")), ids=lambda p: p.parent.name)
def test_a_door_defines_nothing(door):
    nodes = ast.parse(door.read_text()).body
    assert isinstance(nodes[0], ast.Expr), "a door says what its room is for"
    for node in nodes[1:]:
        is_all = isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "__all__"
        assert is_all or isinstance(node, ast.ImportFrom), ast.unparse(node)


@pytest.mark.parametrize("path", sorted([*PACKAGE.rglob("*.py"), *PACKAGE.rglob("*.[ch]")]), ids=lambda p: p.name)
def test_no_file_is_too_long(path):
    assert len(path.read_text().splitlines()) <= 450
