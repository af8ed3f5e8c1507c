"""Multiple-choice questions in the chapters: native elements only, feedback for each choice, one right answer."""

import re
from pathlib import Path

import nbformat
import pytest

CHAPTERS = sorted((Path(__file__).parents[2] / "chapters").glob("[01][0-9]_*.ipynb"))
CHOICE = re.compile(r'<details name="([^"]+)" class="choice"><summary>(.+)</summary>\n\n\*\*(Right|No)\.\*\* (.+)\n\n</details>')


def questions(path: Path) -> list[str]:
    return [cell.source for cell in nbformat.read(path, as_version=4).cells if 'class="question"' in cell.source]


@pytest.mark.parametrize("path", CHAPTERS, ids=lambda path: path.stem)
def test_each_choice_of_each_question_is_answered(path: Path) -> None:
    asked = questions(path)
    assert 2 <= len(asked) <= 4
    groups = []
    for question in asked:
        choices = CHOICE.findall(question)
        assert len(choices) >= 3 and len(choices) == question.count("<details") == question.count("</details>"), question
        assert [verdict for _, _, verdict, _ in choices].count("Right") == 1, question
        assert all(len(why) > 20 for *_, why in choices), question
        assert "$" not in "".join(text for _, text, *_ in choices), "a <summary> is HTML, where no formula is set: write η log E"
        assert len({name for name, *_ in choices}) == 1
        groups.append(choices[0][0])
    assert len(set(groups)) == len(groups), "choices of two questions would close each other"


def test_the_right_answer_is_not_always_in_the_same_place() -> None:
    places = [[v for _, _, v, _ in CHOICE.findall(question)].index("Right") for path in CHAPTERS for question in questions(path)]
    assert len(set(places)) >= 3 and max(places.count(place) for place in places) < 0.7 * len(places)
