"""No LU factorisation in `core`, unless a reason stands beside it.

With torch 2.13, a processor with AVX-512 and two threads, LU of a batch of larger matrices (`solve`, `inv`, `slogdet`
on 4 × 512 × 512) is told wrong pivots by MKL: it ends with an error or never returns. What the lab solves is positive
definite, so Cholesky's factor serves everywhere.
"""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
ALLOWED = "# LU: unbatched,"  # with its reason, in the line of the call
WORDS = {"lu", "lu_factor", "lu_factor_ex", "lu_solve", "slogdet", "logdet", "det"}
WORDS |= {"inv", "inv_ex", "matrix_power", "solve_ex", "tensorinv", "tensorsolve"}
OF = {"solve": ("linalg",), "inverse": ("torch", "linalg")}  # words of other things too


def calls(source):
    """(line, what is asked for) of each use of LU in Python code, called or handed on, whoever it is asked of."""
    lines, found = source.splitlines(), []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Attribute):
            asked = node.attr in WORDS or ast.unparse(node.value).endswith(OF.get(node.attr, ()))
            found += [(node.lineno, ast.unparse(node))] if asked else []
        elif isinstance(node, ast.ImportFrom) and (node.module or "").endswith("linalg"):
            found += [(node.lineno, name.name) for name in node.names if name.name in {*WORDS, *OF}]
    return [(line, what) for line, what in found if ALLOWED not in lines[line - 1]]


@pytest.mark.parametrize(
    "line, asked",
    [
        ("x = torch.linalg.solve(a, b)", "torch.linalg.solve"),
        ("x = np.linalg.inv(a)", "np.linalg.inv"),
        ("x = a.slogdet()", "a.slogdet"),
        ("f = torch.lu_solve", "torch.lu_solve"),
        ("from torch.linalg import solve", "solve"),
    ],
)
def test_the_search_finds_it(line, asked):
    assert calls(line) == [(1, asked)]
    assert calls(f"{line}  {ALLOWED} one small matrix that is not symmetric") == []


def test_the_search_finds_nothing_else():
    assert not calls("x = metric.solve(b); y = torch.linalg.solve_triangular(a, b); z = torch.cholesky_inverse(a)")


def test_no_lu_in_core():
    found = {
        f"{path.relative_to(ROOT)}:{line}": what
        for path in sorted((ROOT / "core").rglob("*.py"))
        for line, what in calls(path.read_text(encoding="utf-8"))
    }
    assert not found, f"Solve by Cholesky's factor instead (core/editing/linalg/solve.py): {found}"
