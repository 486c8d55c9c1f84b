"""The look of Gradio's own parts, in the same quiet palette as `frontend/shared/base.css`.

Fonts come with the Gradio package and are served by the lab itself; no style sheet of another host is asked for.
"""

from __future__ import annotations

import gradio as gr
from gradio.themes.utils import colors
from gradio.themes.utils.fonts import Font

SANS: list[Font | str] = [gr.themes.LocalFont("IBM Plex Sans", weights=(400, 700)), "system-ui", "sans-serif"]
MONO: list[Font | str] = [gr.themes.Font("ui-monospace"), "SFMono-Regular", "Consolas", "monospace"]
INK = colors.Color(
    name="ink",
    c50="#f6f7f9",
    c100="#eceff3",
    c200="#dde2e8",
    c300="#c4ccd6",
    c400="#94a0af",
    c500="#647183",
    c600="#4a5666",
    c700="#333d4a",
    c800="#1f2731",
    c900="#161c24",
    c950="#0f141a",
)
TEAL = colors.Color(
    name="teal",
    c50="#edf6f7",
    c100="#d3e9ec",
    c200="#a9d3d9",
    c300="#79b8c1",
    c400="#4798a4",
    c500="#1f7a88",
    c600="#14636f",
    c700="#125059",
    c800="#113f47",
    c900="#0f343a",
    c950="#0a2226",
)


def theme() -> gr.themes.Base:
    """The theme object that `launch` wants."""
    return gr.themes.Base(
        primary_hue=TEAL,
        secondary_hue=TEAL,
        neutral_hue=INK,
        font=SANS,
        font_mono=MONO,
        text_size=gr.themes.sizes.text_md,
        spacing_size=gr.themes.sizes.spacing_md,
        radius_size=gr.themes.sizes.radius_md,
    ).set(
        body_background_fill="#f3f5f7",
        body_background_fill_dark="#0f141a",
        body_text_color="#1a222c",
        body_text_color_dark="#e4e9ef",
        background_fill_primary="#ffffff",
        background_fill_primary_dark="#171d25",
        background_fill_secondary="#f3f5f7",
        background_fill_secondary_dark="#0f141a",
        block_background_fill="transparent",
        block_background_fill_dark="transparent",
        block_border_width="0px",
        block_shadow="none",
        block_padding="0",
        block_label_background_fill="transparent",
        block_title_text_weight="600",
        block_title_text_size="13px",
        block_title_text_color="#4a5666",
        block_title_text_color_dark="#a3afbd",
        block_info_text_color="#647183",
        block_info_text_color_dark="#94a0af",
        border_color_primary="#dde2e8",
        border_color_primary_dark="#2b3440",
        input_background_fill="#ffffff",
        input_background_fill_dark="#12181f",
        input_border_color="#c4ccd6",
        input_border_color_dark="#35404d",
        input_border_color_focus="#1f7a88",
        input_border_color_focus_dark="#4798a4",
        input_shadow="none",
        input_shadow_focus="0 0 0 2px rgba(31, 122, 136, .18)",
        input_padding="7px 10px",
        input_text_size="15px",
        button_large_padding="9px 14px",
        button_large_text_size="15px",
        button_large_text_weight="600",
        button_small_text_size="13px",
        button_primary_background_fill="#14636f",
        button_primary_background_fill_hover="#125059",
        button_primary_background_fill_dark="#1f7a88",
        button_primary_background_fill_hover_dark="#4798a4",
        button_primary_text_color="#ffffff",
        button_primary_text_color_dark="#ffffff",
        button_secondary_background_fill="#eceff3",
        button_secondary_background_fill_hover="#dde2e8",
        button_secondary_background_fill_dark="#232b35",
        button_secondary_background_fill_hover_dark="#2e3844",
        button_secondary_text_color="#1f2731",
        button_secondary_text_color_dark="#e4e9ef",
        layout_gap="14px",
        form_gap_width="0px",
        section_header_text_size="14px",
    )
