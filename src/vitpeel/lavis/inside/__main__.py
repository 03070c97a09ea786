"""Answer one request: `python -I __main__.py FOLDER`, where FOLDER holds request.json and gets the answer.

Exit status 1 with failure.txt in the folder: its one line says why.
"""

from __future__ import annotations

import json
import sys
import traceback
import types
from pathlib import Path


def main(folder: Path) -> int:
    """The exit status."""
    # vitpeel is not installed here: its name leads to the sources, and nothing else of them to the path
    package = types.ModuleType("vitpeel")
    package.__path__ = [str(Path(__file__).parents[2])]
    sys.modules["vitpeel"] = package
    try:
        from vitpeel.lavis.inside import stubs

        stubs.install()
        from vitpeel.lavis.inside import answering

        answering.answer(json.loads((folder / "request.json").read_text()), folder)
    except Exception as error:  # whatever it is, the other interpreter is to say it in its own refusal
        traceback.print_exc()
        (folder / "failure.txt").write_text(f"{type(error).__name__}: {' '.join(str(error).split())}")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
