"""The configuration's own documents, made from its models: config/README.md and config/config.schema.json.

`python -m vitpeel.config.docs` writes them; a test holds them in step.
"""

from __future__ import annotations

import json
from pathlib import Path

from vitpeel.config import Settings
from vitpeel.config.keys import ANY_NAME, Key, keys

_HEAD = """# Configuration

[config.yaml](config.yaml) is the embedded default, complete and narrated. For a run of your own copy it,
change it, and start `snakemake --configfile my.yaml`: that file then stands alone. Single settings can be
changed for one start: `snakemake --config run=short 'compute={shards: 4}'`. A fault is refused before
anything runs, with a line that says what to write. Relative paths start where `snakemake` is started. Editors
that read [config.schema.json](config.schema.json) check while you type.

This page is made from the models in `src/vitpeel/config/` by `python -m vitpeel.config.docs`.
"""


def readme() -> str:
    """config/README.md: a table of all keys, a section each."""
    every = list(keys(Settings))
    sections = {key.path: key for key in every if key.section}
    tables: dict[tuple[str, ...], list[Key]] = {}
    for key in every:
        if not key.section:
            tables.setdefault(key.path[:-1], []).append(key)
    parts = [_HEAD]
    for path, members in tables.items():
        named = path[:-1] if path[-1:] == (ANY_NAME,) else path
        about = sections[named].description if path else "One run, and which pictures it is about."
        parts.append(f"## {'.'.join(path) or 'At the top'}\n\n{about}\n")
        parts.append("\n".join(["| key | allowed | meaning |", "|---|---|---|", *map(_row, members)]) + "\n")
    return "\n".join(parts)


def schema() -> str:
    """config/config.schema.json: JSON Schema of the whole configuration."""
    return json.dumps(Settings.model_json_schema(), indent=2) + "\n"


def _row(key: Key) -> str:
    default = "" if key.default is None else f"; left out: {key.default}"
    return f"| `{key.path[-1]}` | {key.allowed}{default} | {key.description} |"


def write(folder: Path) -> None:
    """Write both documents into `folder`."""
    (folder / "README.md").write_text(readme())
    (folder / "config.schema.json").write_text(schema())


if __name__ == "__main__":
    write(Path(__file__).parents[3] / "config")
