"""An answer is whole and free of reasoning, or it is an error."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sparky.errors import BadAnswer, Transient
from sparky.llm.answers import Draft, without_reasoning
from sparky.llm.tokens import Estimator
from sparky.ports import Answer, Engine, Prompt

PROMPT = Prompt("You sort.", "Sort this.", 32)
ASKED = Engine("vllm", "asked", 4096)


def finished(draft: Draft) -> Answer:
    return draft.finished(
        PROMPT, server="http://gpu", engine=ASKED, seconds=1.5, estimator=Estimator()
    )


@pytest.mark.parametrize(
    ("said", "answer"),
    [
        ("\ud83d\ude80 Done.", "\N{ROCKET} Done."),
        ("\ud83d Done\0.", "\N{REPLACEMENT CHARACTER} Done."),
    ],
)
def test_an_answer_is_text_that_can_be_stored(said: str, answer: str) -> None:
    """An engine that parts a character between two pieces, or writes NUL, costs no chunk."""
    assert finished(Draft(text=said, finish="stop")).text == answer


@pytest.mark.parametrize(
    ("said", "answer"),
    [
        ("Done.", "Done."),
        ("<think>Hm.\nHm.</think>\n\nDone.", "Done."),
        ("  <think></think>Done.", "Done."),
        # DeepSeek-R1's template opens the tag in the prompt
        ("Hm, so it is done.\n</think>\n\nDone.", "Done."),
        ("<think>It never ends", ""),
        # gpt-oss, where the server does not read its channels
        ("analysisThe user wants it sorted.assistantfinalDone.", "Done."),
        ("analysis: all tests pass now.", "analysis: all tests pass now."),
        (
            "<|channel|>analysis<|message|>Hm.<|end|><|channel|>final<|message|>Done.<|return|>",
            "Done.",
        ),
        ('<|channel|>final <|constrain|>json<|message|>{"a":1}<|end|>', '{"a":1}'),
        ("<|channel|>analysis<|message|>It never ends", ""),
        # an answer that speaks of such marks
        ('{"text": "Strip </think> from answers"}', '{"text": "Strip </think> from answers"}'),
        ('[{"text": "Ends <think> early"}]', '[{"text": "Ends <think> early"}]'),
    ],
)
def test_reasoning_stays_out(said: str, answer: str) -> None:
    """The reader of a digest never meets a model's thoughts."""
    assert without_reasoning(said) == answer


@given(st.text(alphabet=st.characters(exclude_characters="<|"), min_size=1))
def test_other_text_is_left_alone(text: str) -> None:
    """What holds no mark of reasoning is the answer, but for the space around it."""
    if not text.strip().startswith("analysis"):
        assert without_reasoning(text) == text.strip()


def test_what_the_engine_says_of_itself_is_kept() -> None:
    """Model, counts and time are those of the call."""
    draft = Draft(32, " Done. ", False, "stop", "really", 100, 7, 64, 3, 0.5, 12.0)
    expected = Answer(
        "Done.",
        "really",
        100,
        7,
        64,
        1.5,
        engine="vllm",
        server="http://gpu",
        reasoning_tokens=3,
        first_token_seconds=0.5,
        joules=12.0,
    )
    assert finished(draft) == expected


def test_what_it_does_not_say_is_estimated() -> None:
    """An answer without counts still costs something; one without a model has the asked one."""
    answer = finished(Draft(32, "Done.", finish="stop"))
    assert answer.prompt_tokens > 0
    assert answer.completion_tokens > 0
    assert answer.model == "asked"


@pytest.mark.parametrize(
    ("draft", "error", "words"),
    [
        (Draft(32, "Do", finish="length"), BadAnswer, "the answer reached the limit of 32 tokens"),
        (Draft(32, "", True, "length"), BadAnswer, "reasoning and answer reached the limit"),
        (Draft(32, "<think>Hm", finish="length"), BadAnswer, "reasoning and answer reached"),
        (Draft(32, "", finish="stop"), BadAnswer, "said nothing"),
        (Draft(32, " \n", finish="stop"), BadAnswer, "said nothing"),
        (Draft(32, "", True, "stop"), BadAnswer, "only reasoning"),
        (Draft(32, "<think>Hm.</think>", finish="stop"), BadAnswer, "only reasoning"),
        (Draft(32, "Done.", finish="content_filter"), BadAnswer, "content_filter"),
        (Draft(32, "Done.", finish="abort"), BadAnswer, "abort"),
        (Draft(32, "Done."), Transient, "broke off"),
        (Draft(32), Transient, "broke off"),
    ],
)
def test_half_an_answer_is_an_error(draft: Draft, error: type[Exception], words: str) -> None:
    """Cut, empty or ended for an odd reason: none of it reaches a digest."""
    with pytest.raises(error, match=words):
        finished(draft)
