"""Which files a result depends on: modules with all that they import, and the files of a folder.

Snakemake does not notice an edited library module by itself, so every rule lists these files as an input;
they are read off the import statements, nothing is imported. A folder of pictures becomes one short text that
changes with its files, because a job with 50,000 inputs would be slow.
"""

from __future__ import annotations

import ast
import hashlib
import os
from collections.abc import Iterable, Iterator
from functools import cache
from pathlib import Path

PACKAGE = Path(__file__).parent
# Can change what is said and how, never a result; for what was downloaded its checksum vouches.
_WITHOUT_RESULT = frozenset({"errors", "logs", "downloads", "models.room"})
_TEXT = frozenset({".csv", ".tsv", ".txt", ".json", ".md"})


def modules(*names: str, unused: Iterable[str] = ()) -> list[str]:
    """Files of these modules and of every module of this package that they import, sorted.

    names: such as "captioner" or "plots/fig1". unused: modules that are imported on the way but take no part
    in the result; neither they nor what only they import is listed. Paths are relative where they lie below
    the working directory.
    """
    skipped = {_dotted(name) for name in unused} | _WITHOUT_RESULT
    for name in [*names, *unused]:
        if _file(_dotted(name)) is None:
            raise ValueError(f"{name}: no such module in {PACKAGE}")
    waiting = [part for name in names for part in _with_packages(_dotted(name))]
    found: set[str] = set()
    while waiting:
        module = waiting.pop()
        if module not in found | skipped:
            found.add(module)
            waiting += imports(_path(module))
    return sorted(_shown(_path(module)) for module in found)


@cache
def imports(path: Path) -> tuple[str, ...]:
    """The modules of this package that a Python file imports when it runs, and the packages they are in."""
    found: set[str] = set()
    for node in _running(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            if node.level:
                raise ValueError(f"{path}: line {node.lineno}: relative import; write the full name")
            found.update(f"{node.module}.{alias.name}" for alias in node.names)
    own = (name.removeprefix(f"{PACKAGE.name}.") for name in found if name.startswith(f"{PACKAGE.name}."))
    parts = {part for name in own for part in _with_packages(name)}
    return tuple(sorted(part for part in parts if _file(part) is not None))


def fingerprint(folder: Path) -> str:
    """Hash of names, sizes and times of change of the files directly in a folder of pictures.

    Hidden files and text (captions, notes) beside the pictures do not count.
    """
    with os.scandir(folder) as entries:
        files = sorted((entry.name, entry.stat()) for entry in entries if entry.is_file())
    digest = hashlib.sha256()
    for name, status in files:
        if not name.startswith(".") and Path(name).suffix.lower() not in _TEXT:
            digest.update(f"{name}\0{status.st_size}\0{status.st_mtime_ns}\0".encode())
    return digest.hexdigest()[:16]


def _running(tree: ast.AST) -> Iterator[ast.AST]:
    """Every statement but those under `if TYPE_CHECKING:`, which never run."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.expr):  # most of a tree, and nothing is imported there
            continue
        if isinstance(node, ast.If) and isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING":
            continue
        yield node
        yield from _running(node)


def _with_packages(module: str) -> list[str]:
    """ "plots.fig1" -> "plots", whose `__init__` runs too, and "plots.fig1"."""
    parts = module.split(".")
    return [".".join(parts[:length]) for length in range(1, len(parts) + 1)]


def _dotted(name: str) -> str:
    return name.removesuffix(".py").replace("/", ".")


def _file(module: str) -> Path | None:
    path = PACKAGE.joinpath(*module.split("."))
    return next((p for p in (path.with_suffix(".py"), path / "__init__.py") if p.is_file()), None)


def _path(module: str) -> Path:
    path = _file(module)
    if path is None:
        raise ValueError(f"{module}: no such module in {PACKAGE}")
    return path


def _shown(path: Path) -> str:
    here = Path.cwd()
    return str(path.relative_to(here) if path.is_relative_to(here) else path)
