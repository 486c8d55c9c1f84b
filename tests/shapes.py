"""Shapes and types of `core`, checked while tests run: jaxtyping's annotations, enforced by beartype.

Only what names a shape is checked: functions and dataclasses with arrays in their annotations. All other types are
mypy's: to check them in each call as well took a third of the tests' time."""

import ast
from typing import Any

from beartype import beartype
from jaxtyping import _import_hook, install_import_hook

ARRAYS = {"Float", "Int", "Bool"}


def enforced(function: Any, *options: Any, **named: Any) -> Any:
    """`beartype` under a name of its own: jaxtyping keeps compiled files by this name, and ours differ."""
    return beartype(function, *options, **named)


class WhereShapesAre(_import_hook.JaxtypingTransformer):
    """Functions within functions are left alone: they would be wrapped anew, in 2 ms, at each call of the outer one."""

    def visit_ClassDef(self, node: ast.ClassDef) -> ast.ClassDef:  # noqa: N802 (`ast` calls it so)
        if names_a_shape(node):
            super().visit_ClassDef(node)
        return node

    def visit_FunctionDef(self, node: ast.FunctionDef) -> ast.FunctionDef:  # noqa: N802 (`ast` calls it so)
        within = any(isinstance(parent, ast.FunctionDef) for parent in self._parents)
        return super().visit_FunctionDef(node) if names_a_shape(node) and not within else node


def names_a_shape(node: ast.AST) -> bool:
    """Whether an argument, a result, a field or a variable in it is annotated with an array."""
    return any(isinstance(part, ast.Name) and part.id in ARRAYS for part in ast.walk(node))


def install() -> None:
    """To be called before anything of `core` is imported."""
    _import_hook.JaxtypingTransformer = WhereShapesAre
    install_import_hook("core", "tests.shapes.enforced")
