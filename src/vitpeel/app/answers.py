"""The right column of an analysis: what was found as HTML, and the files behind it to download."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import gradio as gr

from vitpeel.app import markup


class Answer:
    """Where a tab shows its answer, with a button for the table (CSV) and one for the figure (PNG)."""

    def __init__(self, name: str, table: str, waiting: str) -> None:
        """name: of the tab; table: what the CSV holds; waiting: what stands there before the first answer."""
        with gr.Column(scale=2, min_width=320):
            self._found = gr.HTML(markup.waiting(waiting), elem_id=f"{name}-found")
            with gr.Row():
                self._table = gr.DownloadButton(f"{table} (CSV)", size="sm", visible=False)
                self._figure = gr.DownloadButton("Figure (PNG)", size="sm", visible=False)

    def on(self, start: gr.Button, run: Any, inputs: list[Any]) -> None:
        """Show what `run` finds, in the form of `filled`, when the button is pressed."""
        start.click(
            run,
            inputs,
            [self._found, self._table, self._figure],
            show_progress_on=[self._found],
            concurrency_id="clip",
            concurrency_limit=2,
            api_visibility="private",
        )


def filled(html: str, files: Sequence[Path]) -> tuple[Any, ...]:
    """An answer: what is shown, and the files behind the two buttons, the table first."""
    return html, *(gr.DownloadButton(value=file, visible=True) for file in files)
