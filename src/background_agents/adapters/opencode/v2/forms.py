"""Forms as questions, and answers in words as a form's values.

A form asks for several values at once: texts, numbers, yes or no, some of a list. The service
knows questions that are answered in words, one each; OpenCode itself judges what comes of them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from background_agents.adapters.opencode.v2.wire import Field, Form, When
from background_agents.domain.asking import Ask, Question

YES, NO = "yes", "no"

_WORDS: Mapping[str, object] = {YES: True, "true": True, NO: False, "false": False}

_HINTS: Mapping[str, str] = {
    "number": "a number",
    "integer": "a whole number",
    "multiselect": "any of them, separated by commas",
}


def ask_of(form: Form) -> Ask:
    """Return a form as the ports know it, with a question for each field."""
    questions = tuple(Question(_text(one), _options(one)) for one in form.fields)
    return Ask(id=form.id, session=form.session_id, questions=questions)


def values_of(form: Form, answers: Sequence[str]) -> dict[str, object]:
    """Return the values that answers in words stand for.

    What stands for none is handed on as it was said, for OpenCode to refuse in its words. Fields
    that are answered by nothing, or that other answers make pointless, have no value.
    """
    said = zip(form.fields, answers, strict=False)
    values = {field.key: _value(field, text.strip()) for field, text in said if text.strip()}
    fits = {one.key for one in form.fields if all(_holds(when, values) for when in one.when)}
    return {key: value for key, value in values.items() if key in fits}


def words_of(form: Form, values: Mapping[str, object]) -> tuple[str, ...]:
    """Return a form's values in words, one for each field."""
    return tuple(_said(field, values.get(field.key)) for field in form.fields)


def _text(field: Field) -> str:
    name = field.description or field.title or field.url or field.key
    if field.type == "external":
        name = f"{name}: open {field.url}, then answer {YES}"
    hint = _HINTS.get(field.type)
    return f"{name} ({hint})" if hint else name


def _options(field: Field) -> tuple[str, ...]:
    if field.type == "boolean":
        return (YES, NO)
    if field.type == "external":
        return (YES,)
    return tuple(one.label or one.value for one in field.options)


def _value(field: Field, text: str) -> object:
    match field.type:
        case "number" | "integer":
            return _number(text)
        case "boolean" | "external":
            return _WORDS.get(text.casefold(), text)
        case "multiselect":
            return [_chosen(field, one.strip()) for one in text.split(",") if one.strip()]
        case _:
            return _chosen(field, text)


def _number(text: str) -> object:
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    return text


def _chosen(field: Field, text: str) -> str:
    named = (one.value for one in field.options if text.casefold() == one.label.casefold())
    return next(named, text)


def _holds(when: When, values: Mapping[str, object]) -> bool:
    return (values.get(when.key) == when.value) is (when.op == "eq")


def _said(field: Field, value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return YES if value else NO
    chosen = value if isinstance(value, list) else [value]
    labels = {one.value: one.label or one.value for one in field.options}
    return ", ".join(labels.get(str(one), str(one)) for one in chosen)
