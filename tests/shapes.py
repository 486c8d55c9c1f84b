"""Shapes and types of `core`, checked while tests run: jaxtyping's annotations, enforced by beartype."""

import ast
from typing import Any

from beartype import beartype
from jaxtyping import _import_hook, install_import_hook


def checked(function: Any, *options: Any, **named: Any) -> Any:
    """`beartype` under a name of its own: jaxtyping keeps compiled files by this name, and ours differ."""
    return beartype(function, *options, **named)


class OnceAnImport(_import_hook.JaxtypingTransformer):
    """Functions within functions are left alone: they would be wrapped anew, in 2 ms, at each call of the outer one.
    That was two fifths of what the editing tests cost."""

    def visit_FunctionDef(self, node: ast.FunctionDef) -> ast.FunctionDef:  # noqa: N802 (`ast` calls it so)
        within = any(isinstance(parent, ast.FunctionDef) for parent in self._parents)
        return node if within else super().visit_FunctionDef(node)


def install() -> None:
    """To be called before anything of `core` is imported."""
    _import_hook.JaxtypingTransformer = OnceAnImport
    install_import_hook("core", "tests.shapes.checked")
