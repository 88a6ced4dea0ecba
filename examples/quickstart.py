"""From a CSV of questions and a file of rationales to a trained student and a report: python examples/quickstart.py

Arguments: questions.csv (id, question, options as a JSON list, answer, split), rationales.jsonl (id, rationale),
and a student (default: smollm2, the embedded model). Writes quickstart.db and quickstart.html in the current folder.
"""

import sys
from pathlib import Path

import tinyllm_cli
from tinyllm_cli.events import Event, Notice


def show(event: Event) -> None:
    if isinstance(event, Notice):
        print(event.message)


def main(questions: str, rationales: str, student: str = "smollm2") -> None:
    with tinyllm_cli.open_store("quickstart.db") as project:
        data = tinyllm_cli.import_questions(project, questions, name="quiz", on_event=show)
        tinyllm_cli.import_rationales(project, rationales, "me", data.dataset, on_event=show)
        run = tinyllm_cli.distill(project, alpha={"me": 1.0}, student=student, on_event=show)
        for one in tinyllm_cli.evaluate(project, run=run.id, scoring="rank"):
            print(f"{one.result.correct} of {one.result.n} test questions are right")
        tinyllm_cli.report(project, html=Path("quickstart.html"))


if __name__ == "__main__":
    main(*sys.argv[1:])
