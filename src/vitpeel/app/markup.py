"""Results as HTML: pictures with words below them, the line at the foot; all text is escaped."""

from __future__ import annotations

import base64
import io
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from vitpeel.plots.style import Source

Pixels = NDArray[np.uint8]

_LONGEST = 512  # pixels of a shown picture's longer side
_QUALITY = 90  # of the JPEG that is shown; downloads are not compressed so


@dataclass(frozen=True)
class Card:
    """A picture with a name above and words below. strong: the name stands out."""

    picture: Image.Image
    name: str
    words: str = ""
    strong: bool = False


def cards(shown: Sequence[Card], kind: str = "grid") -> str:
    """Pictures side by side, as many in a row as there is room for.  kind: grid, small or single."""
    return f'<div class="vp-cards vp-{escape(kind)}">{"".join(map(_card, shown))}</div>'


def heading(title: str, words: str = "") -> str:
    """A title over a result, and a line that explains it."""
    below = f'<p class="vp-muted">{escape(words)}</p>' if words else ""
    return f'<h3 class="vp-title">{escape(title)}</h3>{below}'


def rows(pairs: Sequence[tuple[str, str]]) -> str:
    """A list of names with words beside them."""
    lines = "".join(f"<tr><th>{escape(name)}</th><td>{escape(words)}</td></tr>" for name, words in pairs)
    return f'<table class="vp-rows">{lines}</table>'


def scale(low: str, high: str, colours: Sequence[str], middle: str = "") -> str:
    """A colour scale with words at its ends.  colours: CSS, from low to high."""
    ends = "".join(f"<span>{escape(words)}</span>" for words in (low, middle, high))
    bar = f'<div class="vp-bar" style="background: linear-gradient(to right, {", ".join(colours)})"></div>'
    return f'<div class="vp-scale">{bar}<div class="vp-ends">{ends}</div></div>'


def foot(source: Source) -> str:
    """The line at the foot of a result: what it was made from."""
    mark = " · embedded demo model, not the paper's checkpoint" if source.embedded else ""
    return f'<p class="vp-foot">{escape(source.line())}<strong>{escape(mark)}</strong></p>'


def waiting(words: str) -> str:
    """What stands where there is no result yet."""
    return f'<p class="vp-waiting">{escape(words)}</p>'


def _card(card: Card) -> str:
    strong = " vp-strong" if card.strong else ""
    words = f"<figcaption>{escape(card.words)}</figcaption>" if card.words else ""
    picture = f'<img alt="{escape(card.name)}" src="{_data(card.picture)}">'
    return (
        f'<figure class="vp-card{strong}"><p class="vp-name">{escape(card.name)}</p>{picture}{words}</figure>'
    )


def _data(picture: Image.Image) -> str:
    """The picture as a data URL, no larger than a page shows."""
    shown = picture.convert("RGB")
    shown.thumbnail((_LONGEST, _LONGEST))
    written = io.BytesIO()
    shown.save(written, format="JPEG", quality=_QUALITY)
    return f"data:image/jpeg;base64,{base64.b64encode(written.getvalue()).decode()}"
