"""The commands as functions, for notebooks and scripts; the command line calls nothing else.

Every function but `info` takes an open `Project` first and keyword arguments after it. It returns a typed result,
reports progress to `on_event`, raises the exceptions of `tinyllm_cli.errors`, and neither prints nor exits. Its module
is imported when the function is first used: listing the commands loads neither torch nor transformers.

    import tinyllm_cli

    with tinyllm_cli.open_store("tinyllm.db") as project:
        tinyllm_cli.import_questions(project, "quiz.csv")
        run = tinyllm_cli.distill(project, alpha={"t5": 1.0}, student="smollm2")
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tinyllm_cli.api.audits import audit
    from tinyllm_cli.api.data import import_folder, import_procedural, import_questions, import_rationales
    from tinyllm_cli.api.data_export import export_data
    from tinyllm_cli.api.elicitation import elicit, pilot, preview_elicitation
    from tinyllm_cli.api.environment import info
    from tinyllm_cli.api.evaluation import evaluate, predict, predict_file, predictor
    from tinyllm_cli.api.experiments import plan_experiment, plan_search, run_experiment, run_search
    from tinyllm_cli.api.exports import export
    from tinyllm_cli.api.maintenance import activity, backup, check, delete, inventory, prune, rename, tables
    from tinyllm_cli.api.merging import merge, split
    from tinyllm_cli.api.project import Project, open_store
    from tinyllm_cli.api.publishing import push
    from tinyllm_cli.api.questions import question_neighbours, search_questions
    from tinyllm_cli.api.rationales import find_questions, gate, inspect_question
    from tinyllm_cli.api.reports import compare_runs, full_report, report, run_charts
    from tinyllm_cli.api.reviews import (
        decide,
        export_review_sheet,
        import_review_sheet,
        review_choices,
        review_queue,
        review_summary,
    )
    from tinyllm_cli.api.scores import leakage, learnability, usefulness
    from tinyllm_cli.api.training import distill, plan_distillation

VERBS = {
    "Project": "project",
    "open_store": "project",
    "import_questions": "data",
    "import_folder": "data",
    "import_rationales": "data",
    "import_procedural": "data",
    "elicit": "elicitation",
    "pilot": "elicitation",
    "preview_elicitation": "elicitation",
    "gate": "rationales",
    "audit": "audits",
    "usefulness": "scores",
    "learnability": "scores",
    "leakage": "scores",
    "find_questions": "rationales",
    "inspect_question": "rationales",
    "search_questions": "questions",
    "question_neighbours": "questions",
    "decide": "reviews",
    "export_review_sheet": "reviews",
    "import_review_sheet": "reviews",
    "review_choices": "reviews",
    "review_queue": "reviews",
    "review_summary": "reviews",
    "plan_distillation": "training",
    "distill": "training",
    "evaluate": "evaluation",
    "predictor": "evaluation",
    "predict": "evaluation",
    "predict_file": "evaluation",
    "export": "exports",
    "export_data": "data_export",
    "push": "publishing",
    "plan_experiment": "experiments",
    "run_experiment": "experiments",
    "plan_search": "experiments",
    "run_search": "experiments",
    "report": "reports",
    "compare_runs": "reports",
    "run_charts": "reports",
    "full_report": "reports",
    "activity": "maintenance",
    "inventory": "maintenance",
    "rename": "maintenance",
    "delete": "maintenance",
    "prune": "maintenance",
    "backup": "maintenance",
    "check": "maintenance",
    "tables": "maintenance",
    "merge": "merging",
    "split": "merging",
    "info": "environment",
}
"""Public name -> the module of this package that holds it."""

__all__ = [
    "Project",
    "activity",
    "audit",
    "backup",
    "check",
    "compare_runs",
    "decide",
    "delete",
    "distill",
    "elicit",
    "evaluate",
    "export",
    "export_data",
    "export_review_sheet",
    "find_questions",
    "full_report",
    "gate",
    "import_folder",
    "import_procedural",
    "import_questions",
    "import_rationales",
    "import_review_sheet",
    "info",
    "inspect_question",
    "inventory",
    "leakage",
    "learnability",
    "merge",
    "open_store",
    "pilot",
    "plan_distillation",
    "plan_experiment",
    "plan_search",
    "predict",
    "predict_file",
    "predictor",
    "preview_elicitation",
    "prune",
    "push",
    "question_neighbours",
    "rename",
    "report",
    "review_choices",
    "review_queue",
    "review_summary",
    "run_charts",
    "run_experiment",
    "run_search",
    "search_questions",
    "split",
    "tables",
    "usefulness",
]  # fmt: skip


def __getattr__(name: str) -> Any:
    if name not in VERBS:
        raise AttributeError(f"module 'tinyllm_cli.api' has no attribute {name!r}")
    return getattr(import_module(f"tinyllm_cli.api.{VERBS[name]}"), name)
