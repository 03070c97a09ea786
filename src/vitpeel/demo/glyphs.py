"""Cut the demo's objects out of an emoji font with bitmap strikes (Noto Color Emoji, under the OFL)."""

from __future__ import annotations

from pathlib import Path

from PIL import Image, ImageDraw, ImageFont

from vitpeel.demo.words import GLYPHS

STRIKE = 109  # the only size, in pixels, that the font holds
CANVAS = (136, 128)


def cut_glyphs(font: Path, folder: Path) -> None:
    """Write one tightly cut RGBA PNG an object word."""
    strike = ImageFont.truetype(font, STRIKE)
    folder.mkdir(parents=True, exist_ok=True)
    for word, code_point in GLYPHS.items():
        canvas = Image.new("RGBA", CANVAS, (0, 0, 0, 0))
        ImageDraw.Draw(canvas).text((0, 0), chr(int(code_point, 16)), font=strike, embedded_color=True)
        box = canvas.getbbox()
        if box is None:
            raise ValueError(f"{font}: no glyph for {word} (U+{code_point}); take NotoColorEmoji.ttf 2.042")
        canvas.crop(box).save(folder / f"{word}.png", optimize=True)
