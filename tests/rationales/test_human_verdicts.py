"""Human verdicts: they count before the gates in every command, outlive changes of the gates, and are all kept."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from backends.base import Completion, Sampling
from tests.conftest import Command, keep, start, write_dataset
from tests.models import make_folder
from tests.rationales.test_verdicts import GOOD
from tinyllm_cli.config import load_settings
from tinyllm_cli.datasets.catalogue import from_path
from tinyllm_cli.elicitation.prompts import recorded_prompt
from tinyllm_cli.experiments.availability import coverage_of
from tinyllm_cli.ingestion.ingest import ingest
from tinyllm_cli.rationales.gates import GateSettings
from tinyllm_cli.rationales.select import select
from tinyllm_cli.rationales.selection import Selection, TeacherRationales
from tinyllm_cli.rationales.verdicts import JudgedRationale, judged
from tinyllm_cli.records.elicitation import ElicitationConfig
from tinyllm_cli.records.human_verdicts import HumanVerdict
from tinyllm_cli.records.usefulness import Scorer
from tinyllm_cli.store import Store, open_store

ANN = HumanVerdict(rationale=1, reviewer="ann", at="2026-11-30T10:00:00.000+00:00", verdict="accept", text=GOOD)
TEXTS = [GOOD, f"Let's think step by step. {GOOD}", "nan", f"{GOOD}\nQuestion: And now?"]


@pytest.fixture
def written(store: Store, tmp_path: Path) -> Store:
    """Four questions, each with one rationale of ann: ids 1 to 4."""
    ingest(store, from_path(write_dataset(tmp_path / "toy", train=4)))
    asking = ElicitationConfig(teacher="tom", backend="scripted", model="m", revision="1", sampling=Sampling())
    store.rationales.add_asking(asking)
    for question, text in zip(store.questions.iterate("toy", "train"), TEXTS, strict=True):
        prompt = recorded_prompt(question, teacher_forcing=True)
        keep(store, asking, prompt, 0, Completion(text=text, finish_reason="stop"))
    return store


def rationales(store: Store, gates: GateSettings | None) -> list[JudgedRationale]:
    [source] = store.rationales.variants("toy", "train")
    return list(judged(store, store.questions.iterate("toy", "train"), source, gates))


def passed(store: Store, gates: GateSettings | None) -> dict[int, str]:
    return {one.rationale.id: one.text for one in rationales(store, gates) if one.passed}


def test_they_count_before_the_gates_whatever_these_are(written: Store) -> None:
    strict = GateSettings(min_words=100)
    assert set(passed(written, strict)) == set()
    assert set(passed(written, GateSettings())) == {1, 2, 4}
    written.human_verdicts.add(
        [
            replace(ANN, verdict="reject", text=None, reason="names the wrong thing"),
            replace(ANN, rationale=2),
            replace(ANN, rationale=3, verdict="edit", text="It is written by hand."),
        ]
    )
    expected = {2: GOOD, 3: "It is written by hand."}
    assert passed(written, strict) == expected
    assert passed(written, GateSettings()) == {**expected, 4: GOOD}
    assert set(passed(written, None)) == {2, 3, 4}, "also without gates"
    first, second, third, _ = rationales(written, GateSettings())
    assert [one.verdict.verdict for one in (first, second, third)] == ["rejected", "repaired", "repaired"]
    assert [(one.gate, one.reason, one.repaired) for one in first.verdict.findings] == [
        ("human", "ann: names the wrong thing", False)
    ]


def test_the_later_verdict_counts_and_all_are_kept(written: Store) -> None:
    bob = replace(ANN, reviewer="bob", at="2026-11-30T10:30:00.000+00:00", verdict="reject", text=None, reason="no")
    offline = replace(ANN, at="2026-11-30T09:00:00.000+00:00", sheet="s")
    assert written.human_verdicts.add([bob]) == 1
    assert written.human_verdicts.add([offline]) == 1, "an hour older, stored later"
    assert written.human_verdicts.latest([1, 2]) == {1: bob}
    assert written.human_verdicts.history(1) == [offline, bob]
    assert written.human_verdicts.add([offline, bob]) == 0, "known"
    again = replace(ANN, at="2026-11-30T11:00:00.000+00:00")
    assert written.human_verdicts.add([again]) == 1, "ann insists"
    assert written.human_verdicts.latest([1]) == {1: again}


def test_an_old_state_of_a_sheet_is_known_and_a_new_one_is_new(written: Store) -> None:
    first = replace(ANN, sheet="s")
    second = replace(first, at="2026-11-30T12:00:00.000+00:00", verdict="reject", text=None, reason="no")
    third = replace(first, at="2026-11-30T13:00:00.000+00:00")
    add = written.human_verdicts.add
    assert [add([one]) for one in (first, replace(first, at=third.at), second, first, third, second)] == [
        1, 0, 1, 0, 1, 0,
    ]  # fmt: skip
    assert written.human_verdicts.latest([1]) == {1: third}


def record(store: Store, gates: GateSettings | None) -> dict[str, object]:
    [source] = store.rationales.variants("toy", "train")
    rows = TeacherRationales(
        dataset="toy", source=source, questions=4, limited=False, rationales=rationales(store, gates), scores={},
        student=Scorer(model="any", fingerprint=""),
    )  # fmt: skip
    return dict(select([rows], Selection(gates=gates), seed=0)[source.teacher].record)


def test_a_run_is_another_one_only_if_it_learns_something_else(written: Store) -> None:
    gates = GateSettings()
    before = record(written, gates)
    written.human_verdicts.add([ANN])
    assert record(written, gates) == before, "the gates keep this text anyway"
    written.human_verdicts.add([replace(ANN, rationale=4, verdict="edit", text="It is written by hand.")])
    edited = record(written, gates)
    assert (edited["edited"], edited["rationales"]) == (1, 3)
    assert edited["digest"] != before["digest"]
    written.human_verdicts.add([replace(ANN, rationale=2, verdict="reject", text=None, reason="no")])
    found = record(written, gates)
    assert found["rejected"] == {"human": 1}
    assert found["digest"] not in (before["digest"], edited["digest"])


def test_a_plan_is_another_one_after_a_verdict(written: Store) -> None:
    before = coverage_of(written, "toy", load_settings(None)).edition
    written.human_verdicts.add([replace(ANN, verdict="reject", text=None, reason="no")])
    assert coverage_of(written, "toy", load_settings(None)).edition != before


def test_a_reviewed_sample_comes_first(written: Store) -> None:
    [source] = written.rationales.variants("toy", "train")
    [first, *_] = written.questions.iterate("toy", "train")
    asking = ElicitationConfig(teacher="tom", backend="scripted", model="m", revision="1", sampling=Sampling())
    keep(written, asking, recorded_prompt(first, teacher_forcing=True), 1, Completion(text="no", finish_reason="stop"))
    written.human_verdicts.add([replace(ANN, rationale=5, verdict="edit", text="It is written by hand.")])
    rows = TeacherRationales(
        dataset="toy", source=source, questions=4, limited=False, rationales=rationales(written, GateSettings()),
        scores={}, student=Scorer(model="any", fingerprint=""),
    )  # fmt: skip
    selected = select([rows], Selection(gates=GateSettings(), samples=1), seed=0)
    chosen = selected[source.teacher].by_question["train-0"]
    assert chosen[0].text in ("It is written by hand.", GOOD)
    ids = {one.rationale.id: one.human for one in rows.rationales if one.question.key == "train-0"}
    assert ids[1] is None
    assert ids[5] is not None


REPLIES = ["It is in the list, as one sees at once.", "Because.", "Let's think step by step. It is in the list again."]


@pytest.fixture
def toy(inside: Command, tmp_path: Path) -> Command:
    toml = f'[teachers.mixed]\nbackend = "scripted"\nreplies = {json.dumps(REPLIES)}\n'
    (tmp_path / "tinyllm.toml").write_text(toml, encoding="utf-8")
    write_dataset(tmp_path / "toy", train=12, valid=4)
    assert inside("elicit", "--teacher", "mixed", "--dataset", "toy").returncode == 0
    return inside


def gate(command: Command, *arguments: str) -> dict[str, object]:
    done = command("gate", *arguments, "--json")
    assert done.returncode == 0, done.stderr
    return dict(json.loads(done.stdout))


def by_gate(command: Command, *more: str) -> dict[str, int]:
    found = json.loads(command("gate", "--json", *more).stdout)["teachers"][0]
    return {name: found[name] for name in ("kept", "repaired", "rejected")}


def test_the_command_decides_and_every_command_follows(toy: Command, tmp_path: Path) -> None:
    make_folder(tmp_path / "student", "causal")
    train = ("distill", "--alpha", "mixed=1", "--student", "student", "--json")
    first = json.loads(toy(*train).stdout)
    shown = json.loads(toy("gate", "--show", "too-short", "--json").stdout)["teachers"][0]["examples"]
    id = shown[0]["id"]
    assert f"id {id}" in toy("gate", "--show", "too-short").stdout
    assert f"id {id}" in toy("inspect", shown[0]["key"]).stdout
    before = by_gate(toy)
    decided = gate(toy, "--keep", str(id), "--reviewer", "ann")
    assert (decided["text"], decided["reviewer"], decided["changed"]) == ("Because.", "ann", True)
    assert gate(toy, "--keep", str(id), "--reviewer", "ann")["changed"] is False
    assert by_gate(toy) == {**before, "kept": before["kept"] + 1, "rejected": before["rejected"] - 1}
    second = json.loads(toy(*train).stdout)
    assert second["run"] != first["run"]
    assert second["figures"]["tasks"]["mixed"] == first["figures"]["tasks"]["mixed"] + 1
    (tmp_path / "better.txt").write_text("It is there because\nit was [bold]put[/bold] there.\n", encoding="utf-8")
    edited = gate(toy, "--edit", str(id), "--text-file", "better.txt")
    assert edited["text"] == "It is there because\nit was [bold]put[/bold] there."
    assert json.loads(toy(*train).stdout)["run"] not in (first["run"], second["run"])
    seen = toy("inspect", shown[0]["key"])
    assert "edited: It is there because it was [bold]put[/bold] there." in " ".join(seen.stdout.split())
    assert "earlier: accept by ann" in seen.stdout
    gate(toy, "--reject", str(id), "--because", "no reason\x1b[2J", "--reviewer", "bob")
    (tmp_path / "tinyllm.toml").write_text(
        (tmp_path / "tinyllm.toml").read_text(encoding="utf-8") + "\n[gates]\nmin_words = 1\n", encoding="utf-8"
    )
    assert by_gate(toy)["rejected"] == 1, "other gates, the same human verdict"
    human = toy("gate", "--show", "human")
    assert "bob: no reason" in " ".join(human.stdout.split())
    assert "\x1b" not in human.stdout
    again = json.loads(toy(*train, "--no-gates").stdout)
    assert again["figures"]["tasks"]["mixed"] == 11
    survey = json.loads(toy("audit", "--json", "--student", "student").stdout)["datasets"][0]
    assert survey["teachers"][0]["rejected_by"] == {"human": 1}
    page = toy("report", "--html", "page.html", "--samples", "12")
    assert page.returncode == 0, page.stderr
    assert "bob: no reason" in (tmp_path / "page.html").read_text(encoding="utf-8")
    with open_store(tmp_path / "tinyllm.db") as store:
        assert [one.verdict for one in store.human_verdicts.history(id)] == ["accept", "edit", "reject"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--keep", "999"), "There is no rationale 999."),
        (("--keep", "1", "--reject", "2", "--because", "x"), "exclude each other"),
        (("--reject", "1"), "--reject needs --because."),
        (("--reject", "1", "--because", " "), "A rejection needs a reason."),
        (("--because", "x"), "--because goes with --reject."),
        (("--edit", "1"), "--edit needs --text."),
        (("--edit", "1", "--text", " \n"), "The edited text is empty."),
        (("--keep", "1", "--text", "x"), "--text goes with --edit."),
        (("--edit", "1", "--text", "x", "--text-file", "y"), "exclude each other"),
        (("--edit", "1", "--text-file", "nowhere.txt"), "There is no file nowhere.txt."),
        (("--keep", "1", "--reviewer", "a\nb"), "A reviewer can't be called"),
        (("--show", "humans"), "There is no gate 'humans'."),
    ],
)
def test_wrong_decisions_are_refused(toy: Command, arguments: tuple[str, ...], message: str) -> None:
    done = toy("gate", *arguments)
    assert (done.returncode, message in done.stderr) == (2, True), done.stderr


def test_a_text_that_is_empty_can_be_edited_and_not_kept(written: Store, inside: Command) -> None:
    done = inside("gate", "--keep", "3")
    assert (done.returncode, "Nothing is left of rationale 3 to learn." in done.stderr) == (2, True)
    assert inside("gate", "--edit", "3", "--text", "It is written by hand.").returncode == 0


def test_a_text_that_a_correction_replaces_is_named(written: Store, inside: Command, tmp_path: Path) -> None:
    asking = ElicitationConfig(teacher="tom", backend="scripted", model="m", revision="1", sampling=Sampling())
    [first, *_] = written.questions.iterate("toy", "train")
    prompt = replace(recorded_prompt(first, teacher_forcing=True), content_hash="corrected")
    keep(written, asking, prompt, 0, Completion(text="It is corrected, as one sees.", finish_reason="recorded"))
    done = inside("gate", "--keep", "1", "--json")
    assert (done.returncode, json.loads(done.stdout)["replaced_by"]) == (0, 5)
    assert "Rationale 5 replaces this one, so the verdict has no effect." in done.stderr
    assert passed(written, GateSettings())[5] == "It is corrected, as one sees."
    assert json.loads(inside("gate", "--keep", "5", "--json").stdout)["replaced_by"] is None


VERDICTS = [
    replace(ANN, reviewer=reviewer, at=f"2026-11-30T{hour:02}:00:00.000+00:00", sheet=sheet, **change)
    for hour, (reviewer, sheet, change) in enumerate(
        [
            ("ann", "s", {}), ("bob", None, {"verdict": "reject", "text": None, "reason": "no"}),
            ("ann", None, {"verdict": "edit", "text": "By hand."}), ("bob", "s", {}), ("eve", "t", {}),
        ]
    )
]  # fmt: skip


@given(order=st.permutations(VERDICTS))
@settings(max_examples=20, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_the_order_in_which_verdicts_arrive_does_not_matter(written: Store, order: list[HumanVerdict]) -> None:
    written.execute("DELETE FROM human_verdicts")
    for one in order:
        assert written.human_verdicts.add([one]) == 1
    assert written.human_verdicts.history(1) == VERDICTS
    assert written.human_verdicts.latest([1]) == {1: VERDICTS[-1]}


def test_two_people_decide_at_the_same_time(written: Store, tmp_path: Path) -> None:
    commands = [
        ("gate", "--reject", "1", "--because", "no", "--reviewer", "bob"),
        ("gate", "--edit", "1", "--text", "It is written by hand.", "--reviewer", "eve"),
    ]
    processes = [start(tmp_path, *command) for command in commands]
    for process in processes:
        _, stderr = process.communicate()
        assert process.returncode == 0, stderr
    history = written.human_verdicts.history(1)
    assert {(one.reviewer, one.verdict) for one in history} == {("bob", "reject"), ("eve", "edit")}
    assert written.human_verdicts.latest([1])[1] == history[-1]
    assert history[0].at <= history[1].at
