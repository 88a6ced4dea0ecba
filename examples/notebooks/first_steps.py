"""First steps with tinyllm as a marimo notebook: marimo edit examples/notebooks/first_steps.py

TINYLLM_STUDENT names another student than the embedded model.
"""

import marimo

app = marimo.App(width="medium", app_title="First steps")


@app.cell
def _():
    import os
    import tempfile
    from pathlib import Path

    import marimo as mo

    import tinyllm_cli

    return Path, mo, os, tempfile, tinyllm_cli


@app.cell(hide_code=True)
def _(mo):
    mo.md("""
    # First steps

    From ten questions to a small student that explains its answers. Nothing here needs a network: explanations are
    recorded, and the student is the embedded model.
    """)


@app.cell
def _(Path, tempfile):
    folder = Path(tempfile.mkdtemp())
    rows = [
        ("What keeps soup warm for hours?", "a closed flask", "a paper bag", "Air and glass pass on little heat."),
        ("What stops a door from slamming?", "a wedge", "a lamp", "A wedge holds the door where it is."),
        ("What shows the way in fog at sea?", "a foghorn", "a mirror", "Sound passes through fog, light does not."),
        ("What dries wet boots best?", "old newspaper", "a plastic box", "Paper takes the water out of the leather."),
        ("What keeps bread soft?", "a bread bin", "a sunny sill", "In a closed bin the water stays in the bread."),
        (
            "What removes chalk from a board?",
            "a wet sponge",
            "a hammer",
            "Water loosens the dust, and a sponge takes it.",
        ),
        ("What carries water uphill?", "a pump", "a sieve", "A pump presses water up; a sieve lets it run out."),
        ("What warns of smoke at night?", "a detector", "a clock", "A detector sounds when smoke reaches it."),
        (
            "What keeps cats off a bed of seeds?",
            "wire mesh",
            "warm milk",
            "They can't dig where wire lies on the soil.",
        ),
        ("What cuts thick paper cleanly?", "a sharp knife", "a spoon", "A sharp edge parts the fibres in one line."),
    ]
    return folder, rows


@app.cell
def _(folder, rows, tinyllm_cli):
    import csv
    import json

    splits = ["train"] * 6 + ["valid"] * 2 + ["test"] * 2
    with (folder / "quiz.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["id", "question", "options", "answer", "split"])
        for number, (question, right, wrong, _) in enumerate(rows):
            writer.writerow([number, question, json.dumps([right, wrong]), right, splits[number]])
    explanations = [{"id": str(number), "rationale": row[3]} for number, row in enumerate(rows)]
    (folder / "me.jsonl").write_text("".join(json.dumps(one) + "\n" for one in explanations), encoding="utf-8")

    project = tinyllm_cli.open_store(folder / "tinyllm.db")
    imported = tinyllm_cli.import_questions(project, folder / "quiz.csv", name="quiz")
    tinyllm_cli.import_rationales(project, folder / "me.jsonl", "me", "quiz")
    imported
    return imported, project


@app.cell
def _(imported, os, project, tinyllm_cli):
    student = os.environ.get("TINYLLM_STUDENT", "smollm2")
    run = tinyllm_cli.distill(project, dataset=imported.dataset, alpha={"me": 1.0}, student=student)
    run
    return (run,)


@app.cell
def _(mo, project, run, tinyllm_cli):
    results = [one.result for one in tinyllm_cli.evaluate(project, run=run.id, scoring="rank")]
    mo.md(f"{results[0].correct} of {results[0].n} test questions are right: far too few to say anything.")
    return (results,)


@app.cell
def _(folder, project, results, tinyllm_cli):
    assert results
    report = folder / "report.html"
    tinyllm_cli.report(project, html=report)
    project.close()
    report
    return (report,)


if __name__ == "__main__":
    app.run()
