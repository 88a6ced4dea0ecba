"""Tokens counted without a model are those that its student counts."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.models import KINDS, make_folder
from tinyllm_cli.students.base import Limits, Student
from tinyllm_cli.students.inputs import ANSWER, Task
from tinyllm_cli.students.loading import load_ruler, load_student
from tinyllm_cli.students.token_lengths import TokenCounter

Both = tuple[Student, TokenCounter]


@pytest.fixture(scope="module", params=KINDS)
def both(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Both:
    folder = str(make_folder(tmp_path_factory.mktemp("student"), request.param))
    return load_student(folder), load_ruler(folder)


@settings(deadline=None, max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(text=st.text(max_size=80), target=st.text(min_size=1, max_size=80), limit=st.integers(8, 60))
def test_what_is_longer_than_the_limit_is_what_the_student_cuts(both: Both, text: str, target: str, limit: int) -> None:
    student, ruler = both
    for name in (ANSWER, "t5"):
        [example] = student.encode([Task.single(name, text, target)], Limits(input=limit, target=limit))
        assert (ruler.inputs([text], name)[0] > limit) == example.input_cut
        assert (ruler.targets([target])[0] > limit) == example.target_cut
        if not example.input_cut and not example.target_cut:
            assert (ruler.inputs([text], name), ruler.targets([target])) == ([len(example.input)], [example.length])


def test_a_tokenizer_is_enough(tmp_path: Path) -> None:
    folder = make_folder(tmp_path / "student", "seq2seq")
    (folder / "model.safetensors").unlink()
    ruler = load_ruler(str(folder))
    assert ruler.targets([""]) == [1]
    assert ruler.targets(["thing number"])[0] > ruler.targets(["thing"])[0] > 1
    assert load_ruler(str(folder)).inputs([]) == []
