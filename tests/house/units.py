"""Reads units off names, as a dimension checker would read them off types."""

import ast
import re
from collections.abc import Iterator

UNITS = {
    *("c", "k", "w", "j", "lpm", "kpa", "pa", "s", "at", "ns", "rpm", "hz", "ratio", "percent"),
    *("bytes", "flop", "flops", "total", "count", "m", "m2", "kg", "l", "ev", "ticks", "v"),
}
# A number without a dimension says what it is by its last word ...
DIMENSIONLESS = {
    *("share", "exponent", "coefficient", "factor", "sigma", "variation", "rangeability", "ntu"),
    *("tokens", "severity", "level", "score", "weight", "deviations", "gain", "level"),
    *("rows", "squares", "storm"),
}
# ... and these carry whatever unit the thing beside them has: a metric, a limit, a control law.
UNIT_OF_CONTEXT = {
    *("value", "values", "low", "high", "limit", "held", "unknown", "wish", "default", "truth"),
    *(
        "before",
        "after",
        "integral",
        "previous",
        "output",
        "slope",
        "wanted",
        "tolerance",
        "feedforward",
        "asked",
    ),
    *(
        "offset",
        "noise",
        "bias",
        "blind_below",
        "resolution",
        "floor",
        "healthy",
        "clear",
        "expected",
    ),
    *("caution", "critical", "chip", "sled", "inner", "head", "ua", "valve", "states", "context"),
    *(
        "set_point",
        "scale",
        "chip_values",
        "chip_conductance",
        "other_conductance",
        "conductances",
        "times",
    ),
}
NUMBER = re.compile(r"float( \| None)?|FloatArray( \| float)?|NDArray\[np\.float(32|64)\]")


def unit(name: str) -> str | None:
    """`supply_c` -> `c`, `r_k_per_w` -> `k_per_w`, `value` -> None."""
    compound = re.search(r"(?:^|_)([a-z0-9]+_per_[a-z0-9_]+)$", name)
    if compound:
        return compound[1]
    last = name.rpartition("_")[2]
    return last if last in UNITS else None


def says_its_unit(name: str) -> bool:
    plain = re.sub(r"_(limit|min|max)$", "", name.strip("_"))
    known = plain in UNIT_OF_CONTEXT or plain.rpartition("_")[2] in DIMENSIONLESS
    return known or unit(plain) is not None


def numbers(tree: ast.Module) -> Iterator[tuple[str, int]]:
    """Name and line of every float (or array of floats) that is a field or a parameter."""
    for node in ast.walk(tree):
        found: list[tuple[str, ast.expr | None]] = []
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            found = [(a.arg, a.annotation) for a in (*node.args.args, *node.args.kwonlyargs)]
        elif isinstance(node, ast.ClassDef):
            fields = (f for f in node.body if isinstance(f, ast.AnnAssign))
            found = [(f.target.id, f.annotation) for f in fields if isinstance(f.target, ast.Name)]
        for name, annotation in found:
            if annotation is not None and NUMBER.fullmatch(ast.unparse(annotation)):
                yield name, getattr(node, "lineno", 0)


def mixtures(tree: ast.Module) -> Iterator[tuple[str, int]]:
    """Sums, differences, comparisons and assignments of names whose units do not go together."""
    for node in ast.walk(tree):
        if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add | ast.Sub):
            wrong = _sum(node)[1]
        elif isinstance(node, ast.Compare):
            units = {u for side in (node.left, *node.comparators) if (u := _unit_of(side))}
            wrong = len(units) > 1
        elif isinstance(node, ast.Assign | ast.AnnAssign) and node.value is not None:
            target = node.targets[0] if isinstance(node, ast.Assign) else node.target
            units = {u for side in (target, node.value) if (u := _unit_of(side))}
            wrong = len(units) > 1
        else:
            continue
        if wrong:
            yield ast.unparse(node), node.lineno


def _unit_of(node: ast.expr) -> str | None:
    match node:
        case ast.Name(id=name) | ast.Attribute(attr=name):
            found = unit(name)
            return None if found == "at" else found  # an instant goes with instants and durations
        case ast.Subscript(value=value):
            return _unit_of(value)
        case ast.UnaryOp(operand=operand):
            return _unit_of(operand)
        case ast.BinOp(op=ast.Add() | ast.Sub()):
            return _sum(node)[0]
    return None


def _sum(node: ast.BinOp) -> tuple[str | None, bool]:
    """Unit of the result, and whether the operands can not be added at all."""
    left, right = _unit_of(node.left), _unit_of(node.right)
    if left is None or right is None:
        # A bare number says nothing; a temperature plus an unnamed step may be either kind.
        return (None if "c" in (left, right) else left or right), False
    if left == right == "c":  # a sum of temperatures is on its way to a mean
        return ("k" if isinstance(node.op, ast.Sub) else None), False
    if left == right:
        return left, False
    return ("c", False) if (left, right) == ("c", "k") else (left, (left, right) != ("k", "c"))
