"""A form's questions can be answered in the words that it suggests, and are told in them."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from background_agents.adapters.opencode.v2.forms import ask_of, values_of, words_of
from background_agents.adapters.opencode.v2.wire import Field, Form, Option, When

names = st.text("abcdefgh", min_size=1, max_size=6)
options = st.lists(names, min_size=1, max_size=4, unique=True).map(
    lambda labels: [Option(f"value-{label}", label.capitalize()) for label in labels]
)
values = {
    "string": names,
    "number": st.floats(-1e6, 1e6).filter(lambda number: number != int(number)),
    "integer": st.integers(-1000, 1000),
    "boolean": st.booleans(),
}


@st.composite
def filled_in(draw: st.DrawFn) -> tuple[Form, dict[str, object]]:
    """Return a form, and a value for each of its fields."""
    fields, chosen = [], dict[str, object]()
    for number in range(draw(st.integers(1, 4))):
        kind = draw(st.sampled_from([*values, "multiselect", "choice"]))
        field = Field(f"q{number}", "string" if kind == "choice" else kind, title="A title")
        if kind in values:
            chosen[field.key] = draw(values[kind])
        else:
            field.options = draw(options)
            offered = [option.value for option in field.options]
            several = st.lists(st.sampled_from(offered), min_size=1, unique=True)
            chosen[field.key] = draw(st.sampled_from(offered) if kind == "choice" else several)
        fields.append(field)
    return Form("ses_child", "frm_1", fields=fields), chosen


@given(filled_in())
def test_words_and_values_are_the_same_answer(filled: tuple[Form, dict[str, object]]) -> None:
    form, chosen = filled
    words = words_of(form, chosen)
    assert values_of(form, words) == chosen
    for question, word in zip(ask_of(form).questions, words, strict=True):
        assert not question.options or set(word.split(", ")) <= set(question.options)


def test_what_other_answers_make_pointless_is_left_out() -> None:
    unless = Field("why", when=[When("sure", "neq", True)])
    form = Form("ses_child", "frm_1", fields=[Field("sure", "boolean"), unless])
    assert values_of(form, ("Yes", "Because.")) == {"sure": True}
    assert values_of(form, ("no", "Because.")) == {"sure": False, "why": "Because."}
    assert values_of(form, ("no", " ")) == {"sure": False}


def test_a_page_that_is_to_be_visited_is_acknowledged() -> None:
    form = Form("ses_child", "frm_1", fields=[Field("page", "external", url="https://example.org")])
    (question,) = ask_of(form).questions
    assert "https://example.org" in question.text
    assert values_of(form, question.options) == {"page": True}
