"""How the application looks: system fonts, quiet colours, one column on a narrow screen."""

from __future__ import annotations

import gradio as gr

from vitpeel.plots import style

_SANS = ("system-ui", "-apple-system", "Segoe UI", "Roboto", "DejaVu Sans", "sans-serif")
_MONO = ("ui-monospace", "DejaVu Sans Mono", "monospace")

CSS = f"""
.gradio-container {{ max-width: 1360px !important; margin: 0 auto !important; }}
.vp-head h1 {{ font-size: 1.5rem; margin: 0 0 .15rem; }}
.vp-head h2 {{ font-size: 1.2rem; margin: 0 0 .15rem; }}
.vp-head p, .vp-muted {{ color: var(--body-text-color-subdued); margin: 0 0 .6rem; }}
.vp-title {{ font-size: 1.05rem; font-weight: 600; margin: .2rem 0; overflow-wrap: anywhere; }}
.vp-cards {{ display: grid; gap: .9rem; }}
.vp-grid {{ grid-template-columns: repeat(auto-fill, minmax(min(11rem, 46%), 1fr)); }}
.vp-small {{ grid-template-columns: repeat(auto-fill, minmax(min(9rem, 46%), 1fr)); }}
.vp-single {{ grid-template-columns: repeat(2, minmax(0, 26rem)); }}
.vp-card {{ margin: 0; min-width: 0; }}
.vp-card img {{ width: 100%; border-radius: 6px; display: block; background: #eee; }}
.vp-card figcaption, .vp-name {{ font-size: .9rem; overflow-wrap: anywhere; margin: .25rem 0; }}
.vp-name {{ font-weight: 600; }}
.vp-strong .vp-name {{ color: {style.BLUE}; }}
.vp-strong figcaption {{ color: {style.BLUE}; }}
.dark .vp-strong .vp-name {{ color: {style.SKY}; }}
.dark .vp-strong figcaption {{ color: {style.SKY}; }}
.vp-rows {{ width: 100%; border-collapse: collapse; font-size: .92rem; }}
.vp-rows th {{ text-align: left; font-weight: 600; padding: .2rem .8rem .2rem 0; vertical-align: top;
  white-space: nowrap; width: 1%; }}
.vp-rows td {{ padding: .2rem 0; overflow-wrap: anywhere; }}
.prose .vp-rows, .prose .vp-rows th, .prose .vp-rows td {{ border: 0 !important; }}
.prose .vp-rows tr {{ border: 0 !important; }}
.prose .vp-rows tr + tr {{ border-top: 1px solid var(--border-color-primary) !important; }}
.vp-scale {{ max-width: 24rem; margin: .6rem 0; }}
.vp-bar {{ height: .7rem; border-radius: 3px; }}
.vp-ends {{ display: flex; justify-content: space-between; gap: .8rem; font-size: .82rem;
  color: var(--body-text-color-subdued); }}
.vp-foot {{ font-size: .82rem; color: var(--body-text-color-subdued); margin: .8rem 0 0;
  overflow-wrap: anywhere; }}
.vp-foot strong {{ color: {style.RED}; }}
@media (max-width: 640px) {{
  .gradio-container {{ padding: 0 .5rem !important; }}
  .tab-container button {{ padding: 0 .4rem !important; font-size: .84rem !important; }}
}}
.vp-waiting {{ color: var(--body-text-color-subdued); padding: 2.5rem 1rem; text-align: center;
  border: 1px dashed var(--border-color-primary); border-radius: 8px; }}
"""


def theme() -> gr.themes.Base:
    """Gradio's plain theme with the system's fonts: nothing is fetched from anywhere."""
    plain = gr.themes.Default(primary_hue="blue", neutral_hue="slate", font=_SANS, font_mono=_MONO)
    # the theme's own grey is too pale to read
    return plain.set(body_text_color_subdued="*neutral_600", body_text_color_subdued_dark="*neutral_300")
