"""Markdown for the reference pages: tables, code, and what a class says of its members."""

from __future__ import annotations

import ast
import inspect
import re
from collections.abc import Iterable, Mapping, Sequence
from textwrap import dedent

MADE = "<!-- Made by `python -m lab.reference`; edits here are lost. -->"


def page(title: str, *parts: str) -> str:
    """Return a whole page."""
    return "\n\n".join([f"# {title}", MADE, *(one.strip("\n") for one in parts if one)]) + "\n"


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return a table; a cell is Markdown on one line."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(map(_cell, line)) + " |" for line in lines)


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")


def code(text: str, language: str = "text") -> str:
    """Return a block of code."""
    return f"```{language}\n{text}\n```"


def literal(value: object) -> str:
    """Return a value as code within a line."""
    return f"`{value}`"


def sentence(text: str) -> str:
    """Return words as a sentence."""
    text = text.strip()
    end = "" if text.endswith((".", "!", "?", ":")) else "."
    return f"{text[:1].upper()}{text[1:]}{end}" if text else ""


def told_of_members(kind: type) -> Mapping[str, str]:
    """Return what stands below each member of a class as its docstring, as Markdown."""
    (made,) = ast.parse(dedent(inspect.getsource(kind))).body
    if not isinstance(made, ast.ClassDef):
        raise AssertionError(f"{kind} is no class")
    told: dict[str, str] = {}
    name = ""
    for statement in made.body:
        match statement:
            case (
                ast.AnnAssign(target=ast.Name(id=found)) | ast.Assign(targets=[ast.Name(id=found)])
            ):
                name = found
            case ast.Expr(value=ast.Constant(value=str(text))) if name:
                told[name] = " ".join(text.split()).replace("``", "`")
            case _:
                name = ""
    return told


def paragraphs(docstring: str | None) -> str:
    """Return a docstring as Markdown."""
    return re.sub(r"``", "`", inspect.cleandoc(docstring or ""))
