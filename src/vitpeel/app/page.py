"""The one page of the application: a title, the model, and a tab for each analysis."""

from __future__ import annotations

import gradio as gr

from vitpeel.app import neighbours_tabs, peel_tab, segmentation_tabs
from vitpeel.app.engines import Engines
from vitpeel.app.inputs import Desk, connect_pictures
from vitpeel.app.results import Offer

TITLE = "vitpeel"
_UPLOADS_KEPT = (600, 7200)  # seconds between looks, seconds of a file's life
# In the order of section 5.
_STUDIES = (
    ("Property", neighbours_tabs.add_property),
    ("Topic", segmentation_tabs.add_topic),
    ("Contrast", segmentation_tabs.add_contrast),
    ("Picture", neighbours_tabs.add_picture),
    ("Text", neighbours_tabs.add_text),
)


def build(offer: Offer, engines: Engines) -> gr.Blocks:
    """The page, ready to be launched: a tab for each analysis, without CLIP models that of the captioner."""
    page = gr.Blocks(title=TITLE, analytics_enabled=False, delete_cache=_UPLOADS_KEPT)
    with page:
        desk = Desk(offer, engines, _head(offer), [])
        with gr.Tabs():
            for name, add in _STUDIES if offer.studies else ():
                with gr.Tab(name):
                    add(desk)
            with gr.Tab("Peel"):
                peel_tab.add(desk)
        connect_pictures(desk)
    return page


def _head(offer: Offer) -> gr.Dropdown | None:
    """The title, and which CLIP model is asked."""
    clip = offer.settings.clip
    with gr.Row():
        with gr.Column(scale=3, min_width=300):
            gr.HTML(
                '<div class="vp-head"><h1>What a vision transformer sees</h1>'
                f"<p>Run “{offer.settings.run}”: what its models see in any picture. "
                "Nothing that you upload leaves the machine that this runs on.</p></div>"
            )
        if clip is None:
            return None
        with gr.Column(scale=1, min_width=260):
            names = list(offer.studies)
            return gr.Dropdown(names, value=clip.analyses.model, label="CLIP model (all tabs but Peel)")
