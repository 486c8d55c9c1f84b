"""The page starts without Gradio's stubs, and is the same page."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
LOOK = """
import sys
{before}
import gradio, gradio.component_meta as meta
print(meta.create_or_modify_pyi.__module__, gradio.HTML(apply_default_css=False).get_block_name())
"""
WITHOUT = """
from lab_app.server import stubs
stubs.leave_out()
stubs.leave_out()
print(sum(isinstance(finder, stubs.Finder) for finder in sys.meta_path))
"""


def said(before: str) -> list[str]:
    command = [sys.executable, "-c", LOOK.format(before=before)]
    return subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True).stdout.split()


def test_stubs_are_left_out_and_components_work():
    assert said("") == ["gradio.component_meta", "html"]
    assert said(WITHOUT) == ["1", "lab_app.server.stubs", "html"]
