"""A hosted and a local teacher, with a budget: marimo edit examples/notebooks/two_teachers.py

The hosted teacher is the endpoint of examples/endpoint.py, on this machine. For a real one, set its base_url, model and
prices in the settings below, and its key in the environment.
"""

import marimo

app = marimo.App(width="medium", app_title="Two teachers and a budget")


@app.cell
def _():
    import os
    import sys
    import tempfile
    from pathlib import Path

    import marimo as mo

    import tinyllm_cli

    sys.path.insert(0, str(Path(__file__).parent.parent))
    from endpoint import serve

    return Path, mo, os, serve, tempfile, tinyllm_cli


@app.cell
def _(Path, serve, tempfile):
    folder = Path(tempfile.mkdtemp())
    url = serve()
    (folder / "tinyllm.toml").write_text(
        f'''
    [teachers.hosted]
    backend = "openai"
    model = "large"
    base_url = "{url}"
    price_prompt = 100.0        # dollars per million tokens: dear, so that the budget matters
    price_completion = 100.0
    max_tokens = 64

    [teachers.local]
    backend = "scripted"        # in real work: huggingface or vllm
    replies = ["It follows from what such a thing is used for every day."]
    ''',
        encoding="utf-8",
    )
    return (folder,)


@app.cell
def _(folder, tinyllm_cli):
    project = tinyllm_cli.open_store(folder / "tinyllm.db", config=folder / "tinyllm.toml")
    estimate = tinyllm_cli.preview_elicitation(project, ["hosted"], "everyday", limit=20)
    estimate
    return estimate, project


@app.cell
def _(estimate, project, tinyllm_cli):
    assert estimate.teachers
    asked = tinyllm_cli.elicit(project, ["local"], "everyday", limit=20)
    paid = tinyllm_cli.elicit(project, ["hosted"], "everyday", limit=20, budget=0.4)
    paid
    return asked, paid


@app.cell
def _(asked, mo, paid):
    hosted, local = paid.teachers[0], asked.teachers[0]
    mo.md(f"The budget paid for {hosted.new} of 20 rationales; the local teacher wrote {local.new}.")
    return hosted, local


@app.cell
def _(hosted, local, os, project, tinyllm_cli):
    student = os.environ.get("TINYLLM_STUDENT", "smollm2")
    plan = tinyllm_cli.plan_distillation(
        project, dataset="everyday", alpha={"hosted": 1.0, "local": 0.5}, student=student, limit=20
    )
    assert hosted.new + local.new > 0
    project.close()
    plan
    return (plan,)


if __name__ == "__main__":
    app.run()
