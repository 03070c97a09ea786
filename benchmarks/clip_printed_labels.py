"""What the printed entanglement scores of CLIP-InterpreT are, by the labels of its authors' application.

    uv run python benchmarks/clip_printed_labels.py topic_seg_labels.py

The file is CLIP-InterpreT/src/topic_seg_labels.py of github.com/IntelLabs/multimodal_cognitive_ai at commit
d97b9476783fed56d58c622a85210f023057501a (28 August 2024), under MIT's licence; it is read, not run. Prints
the table in docs/clip-scores.md.
"""

from __future__ import annotations

import argparse
import hashlib
import re
from collections import Counter
from collections.abc import Callable
from pathlib import Path

from vitpeel.clip.printed import Printed, counts, printed
from vitpeel.clip.synonyms import spelled

SHA256 = "3106d1d764bb7dbc3a2da53cdd71e967dc4ec5597deb0a77a2ee7daf2081650b"
LAYER = re.compile(r"def get_(?P<model>\w+)_layer(?P<layer>\d+)_head_anno\(\):(?P<body>.*?)return", re.S)
HEAD = re.compile(r'"L\d+\.H\d+ \((?P<label>.*?)\)"')


def one_description(label: str) -> str:
    """As `spelled`, and "descriptive" is "description"."""
    own = spelled(label)
    return "description" if own == "descriptive" else own


FOLDINGS: dict[str, Callable[[str], str]] = {
    "as written": str,
    "plural folded": spelled,
    "descriptive = description": one_description,
}


def labels(text: str) -> dict[str, list[str]]:
    """The labels of every model's heads, by the weights' name in the file."""
    found: dict[str, list[str]] = {}
    for part in LAYER.finditer(text):
        found.setdefault(part["model"], []).extend(one["label"] for one in HEAD.finditer(part["body"]))
    return found


def row(known: Printed, own: list[str]) -> str:
    """A row of the table: how many heads have a label of their own, and how many share theirs."""
    if len(own) != known.heads:
        raise SystemExit(f"{known.model}: {len(own)} labels for {known.heads} heads. Is it the right file?")
    times = {name: Counter(map(fold, own)) for name, fold in FOLDINGS.items()}
    alone = {name: sum(count == 1 for count in found.values()) for name, found in times.items()}
    shared = [str(known.heads - one) for one in alone.values()]
    different = [str(len(found)) for found in times.values()]
    (said,) = counts(known.unique, known.heads, "truncated")
    cells = [known.shown, str(known.heads), f"**{said}**", " / ".join(map(str, alone.values()))]
    return f"| {' | '.join([*cells, ' / '.join(shared), ' / '.join(different)])} |"


def main() -> None:
    """Read the file and print the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("file", type=Path)
    content = parser.parse_args().file.read_bytes()
    if hashlib.sha256(content).hexdigest() != SHA256:
        print("Not the file of that commit; the numbers may differ.\n")
    found = labels(content.decode())
    print(
        "| model | heads | printed | own label | shared label | different labels |\n|---|---|---|---|---|---|"
    )
    for known in printed():
        architecture = known.shown.split()[0].replace("-", "_")
        print(row(known, found[f"ViT_{architecture}_{known.weights}"]))


if __name__ == "__main__":
    main()
