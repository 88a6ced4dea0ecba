"""Verdicts at the store: judged once, kept by the settings, whatever ended the process."""

from __future__ import annotations

from itertools import islice
from pathlib import Path

import pytest

from backends.base import Completion, Sampling
from tests.conftest import keep, write_dataset
from tinyllm_cli.datasets.catalogue import from_path
from tinyllm_cli.datasets.question import Question
from tinyllm_cli.elicitation.prompts import recorded_prompt
from tinyllm_cli.ingestion.ingest import ingest
from tinyllm_cli.iteration import workers
from tinyllm_cli.rationales.gates import GateSettings, Verdict
from tinyllm_cli.rationales.verdicts import judged
from tinyllm_cli.records.elicitation import ElicitationConfig, Rationale, RationaleSet
from tinyllm_cli.store import Store

GOOD = "Its number is in the list, as the list shows."
TEXTS = [GOOD, f"Let's think step by step. {GOOD}", "nan", f"<think>Hm.</think>{GOOD}", f"{GOOD}\nQuestion: And now?"]


def prepared(store: Store, folder: Path, count: int = 5) -> RationaleSet:
    """A teacher that wrote about every second question, two samples each."""
    ingest(store, from_path(write_dataset(folder / "toy", train=2 * count)))
    asking = ElicitationConfig(teacher="ann", backend="recorded", model="m", revision="1", sampling=Sampling())
    store.rationales.add_asking(asking)
    questions: list[Question] = list(store.questions.iterate("toy", "train"))[::2]
    for number, question in enumerate(questions):
        for sample in range(2):
            text = TEXTS[(number + sample) % len(TEXTS)]
            prompt = recorded_prompt(question, teacher_forcing=True)
            keep(store, asking, prompt, sample, Completion(text=text, finish_reason="recorded"))
    [variant] = store.rationales.variants("toy", "train")
    return variant


def verdicts(store: Store, variant: RationaleSet, settings: GateSettings) -> list[tuple[Rationale, Verdict]]:
    return [
        (one.rationale, one.verdict)
        for one in judged(store, store.questions.iterate("toy", "train"), variant, settings)
    ]


@pytest.mark.slow
def test_several_processes_decide_what_one_does(store: Store, tmp_path: Path) -> None:
    variant = prepared(store, tmp_path, count=1100)  # several chunks, of which some are begun ahead
    questions = list(store.questions.iterate("toy", "train"))
    with workers(2) as several:
        found = [
            (one.rationale, one.verdict) for one in judged(store, questions, variant, GateSettings(), workers=several)
        ]
    stored = rows(store)
    store.execute("DELETE FROM verdicts")
    assert found == verdicts(store, variant, GateSettings())
    assert stored == rows(store) == len(found) == 2200


def rows(store: Store) -> int:
    row = store.one("SELECT count(*) AS n FROM verdicts")
    assert row is not None
    return int(row["n"])


def test_what_was_judged_is_read_again_as_it_was(store: Store, tmp_path: Path) -> None:
    variant = prepared(store, tmp_path)
    first = verdicts(store, variant, GateSettings())
    assert [verdict.verdict for _, verdict in first[:4]] == ["kept", "repaired", "repaired", "rejected"]
    assert {verdict.text for _, verdict in first} == {GOOD, ""}
    assert rows(store) == 10
    store.execute("UPDATE verdicts SET verdict = 'rejected' WHERE text IS NULL")
    again = verdicts(store, variant, GateSettings())
    changed = [one for one, other in zip(first, again, strict=True) if one != other]
    assert {verdict.verdict for _, verdict in changed} == {"kept"}, "a row that is there is not made anew"
    assert rows(store) == 10


def test_other_settings_make_other_rows(store: Store, tmp_path: Path) -> None:
    variant = prepared(store, tmp_path)
    verdicts(store, variant, GateSettings())
    lax = GateSettings(off=("boilerplate",))
    kept = [verdict for _, verdict in verdicts(store, variant, lax) if verdict.text.startswith("Let's")]
    assert {verdict.verdict for verdict in kept} == {"kept"}
    assert rows(store) == 20
    verdicts(store, variant, GateSettings())
    assert rows(store) == 20


def test_a_reader_that_stops_keeps_its_verdicts_and_the_next_one_continues(store: Store, tmp_path: Path) -> None:
    variant = prepared(store, tmp_path, count=400)
    assert len(list(islice(judged(store, store.questions.iterate("toy", "train"), variant, GateSettings()), 3))) == 3
    assert rows(store) == 500, "verdicts come in chunks"
    assert len(verdicts(store, variant, GateSettings())) == 800
    assert rows(store) == 800


def test_the_first_questions_alone(store: Store, tmp_path: Path) -> None:
    variant = prepared(store, tmp_path)
    found = list(judged(store, store.questions.iterate("toy", "train", 3), variant, GateSettings()))
    assert [(one.question.key, one.rationale.sample) for one in found] == [
        ("train-0", 0),
        ("train-0", 1),
        ("train-2", 0),
        ("train-2", 1),
    ]
