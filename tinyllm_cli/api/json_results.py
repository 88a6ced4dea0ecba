"""The JSON objects that commands print under --json, as types: docs/json.md is generated from them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from tinyllm_cli.api.data import ImportResult
from tinyllm_cli.api.data_export import DataExportResult
from tinyllm_cli.api.environment import InfoResult
from tinyllm_cli.api.maintenance import BackupResult, RenameResult
from tinyllm_cli.api.publishing import PushResult
from tinyllm_cli.api.reviews import DecisionResult, SheetImportResult, SheetResult
from tinyllm_cli.audit.checks import CheckResult
from tinyllm_cli.audit.choices import RationaleChoices
from tinyllm_cli.audit.question_search import QuestionSearch
from tinyllm_cli.audit.question_view import ReplyView
from tinyllm_cli.audit.reviewers import ReviewResult
from tinyllm_cli.audit.summary import Survey
from tinyllm_cli.elicitation.results import ElicitResult, PreviewResult
from tinyllm_cli.experiments.best_alpha import BestAlpha
from tinyllm_cli.experiments.trials import SearchResult
from tinyllm_cli.export.export import Exported
from tinyllm_cli.maintenance.activity import Activity
from tinyllm_cli.maintenance.checks import StoreCheck
from tinyllm_cli.maintenance.inventory import Inventory
from tinyllm_cli.maintenance.pruning import Pruning
from tinyllm_cli.maintenance.removal import Removal
from tinyllm_cli.merging.merge import MergeResult
from tinyllm_cli.merging.split import SplitResult
from tinyllm_cli.rationales.gate_summary import GateResult
from tinyllm_cli.rationales.gates.settings import GateSettings
from tinyllm_cli.rationales.leakage_summary import LeakageResult
from tinyllm_cli.rationales.score_summary import LearnabilityResult, UsefulnessResult
from tinyllm_cli.report.collect import Report, Result
from tinyllm_cli.report.run_comparison import RunComparison
from tinyllm_cli.store.experiments import StoredCell
from tinyllm_cli.store.question_lookup import Place, PredictionRow, Refusal


@dataclass(frozen=True, kw_only=True)
class ErrorJson:
    """The last line of stderr when a command fails. `exit_code` is the process's."""

    error: str
    hint: str
    exit_code: int


@dataclass(frozen=True, kw_only=True)
class ImportsJson:
    """Of a folder of several data sets; one data set is an ImportResult."""

    datasets: tuple[ImportResult, ...]


@dataclass(frozen=True, kw_only=True)
class MeasuredBy:
    """Whose tokenizer measured lengths, and its limits in tokens."""

    student: str
    max_input: int
    max_target: int


@dataclass(frozen=True, kw_only=True)
class AuditJson:
    """`measured_by` is null when lengths are in characters, `gates` under --no-gates. Costs are in `currency`, an ISO
    4217 code; null while there are none. `passed`: no error is left."""

    measured_by: MeasuredBy | None
    gates: GateSettings | None
    currency: str | None
    datasets: tuple[Survey, ...]
    choices: tuple[RationaleChoices, ...]
    findings: tuple[CheckResult, ...]
    passed: bool


@dataclass(frozen=True, kw_only=True)
class QuestionJson:
    """A question with the hash of its content; `answer` is an index into `options`."""

    dataset: str
    split: str
    key: str
    text: str
    options: tuple[str, ...]
    answer: int
    context: str | None
    hash: str


@dataclass(frozen=True, kw_only=True)
class InspectJson:
    """One question with its places, replies, failures and predictions. Costs are in `currency`, an ISO 4217 code; null
    while there are none."""

    currency: str | None
    question: QuestionJson
    places: tuple[Place, ...]
    reply_views: tuple[ReplyView, ...]
    refusals: tuple[Refusal, ...]
    predictions: tuple[PredictionRow, ...]


@dataclass(frozen=True, kw_only=True)
class CandidatesJson:
    """Several questions match."""

    candidates: tuple[Place, ...]


@dataclass(frozen=True, kw_only=True)
class DistillJson:
    """A finished run. `figures` are its losses, speeds and truncations."""

    run: int
    method: str
    folder: str
    alpha: Mapping[str, float]
    figures: Mapping[str, Any]


@dataclass(frozen=True, kw_only=True)
class InferenceJson:
    """--method inference: nothing is trained."""

    run: None
    method: str
    student: str


@dataclass(frozen=True, kw_only=True)
class DistillPlanJson:
    """--dry-run: what would be trained. `rationales` describes the rationale set of each teacher."""

    method: str
    dataset: str
    student: str
    alpha: Mapping[str, float]
    questions: int
    steps: int
    rationales: Mapping[str, Mapping[str, Any]]


@dataclass(frozen=True, kw_only=True)
class EvaluationJson(Result):
    """One scoring of one evaluation; `id` is its row."""

    id: int


@dataclass(frozen=True, kw_only=True)
class EvalJson:
    """One evaluation for each scoring."""

    evaluations: tuple[EvaluationJson, ...]


@dataclass(frozen=True, kw_only=True)
class PredictJson:
    """One answer. `option` is an index, null when the text matches none; `probabilities` only by rank."""

    by: str
    scoring: str
    answer: str | None
    option: int | None
    options: tuple[str, ...]
    probabilities: tuple[float, ...] | None
    text: str | None
    rationales: Mapping[str, str]
    input_cut: bool


@dataclass(frozen=True, kw_only=True)
class PredictFileJson:
    """A file of questions. `before`: answered by earlier calls; `graded`: had a gold answer; `unusable`: wrong rows."""

    out: str
    questions: int
    answered: int
    before: int
    changed: int
    graded: int
    correct: int
    unparseable: int
    unusable: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class ExportJson(Exported):
    """An export and how its answers compare with the student's."""

    format: str
    quantize: str | None


@dataclass(frozen=True, kw_only=True)
class CellJson(StoredCell):
    """A cell and its evaluation, null when there is none."""

    result: Result | None


@dataclass(frozen=True, kw_only=True)
class ExperimentJson:
    """A finished experiment. `best_on_valid`: what valid selects from a grid of alphas, empty for other experiments;
    `best`: the best trial of a search, else null."""

    experiment: int
    name: str
    cells: tuple[CellJson, ...]
    best_on_valid: tuple[BestAlpha, ...]
    best: SearchResult | None


@dataclass(frozen=True, kw_only=True)
class ExperimentPlanJson:
    """--dry-run: the cells of the plan, and the parts that were excluded."""

    experiment: str
    cells: tuple[Mapping[str, Any], ...]
    left_out: tuple[Mapping[str, Any], ...]


@dataclass(frozen=True, kw_only=True)
class SearchPlanJson:
    """--dry-run of a search: how many trials of which teachers' alphas."""

    experiment: str
    trials: int
    teachers: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class ViewJson:
    """The app has started. `url` holds the token of this start: whoever has it may review."""

    url: str
    port: int
    database: str


RESULTS: Mapping[str, tuple[type, ...]] = {
    "import": (ImportResult, ImportsJson),
    "elicit": (ElicitResult, PreviewResult),
    "gate": (GateResult, DecisionResult),
    "review": (ReviewResult, SheetResult, SheetImportResult),
    "audit": (AuditJson,),
    "usefulness": (UsefulnessResult, LearnabilityResult, LeakageResult),
    "find": (QuestionSearch,),
    "inspect": (InspectJson, CandidatesJson),
    "distill": (DistillJson, DistillPlanJson, InferenceJson),
    "eval": (EvalJson,),
    "predict": (PredictJson, PredictFileJson),
    "export": (ExportJson,),
    "export-data": (DataExportResult,),
    "push": (PushResult,),
    "experiment": (ExperimentJson, ExperimentPlanJson, SearchPlanJson),
    "report": (Report,),
    "compare": (RunComparison,),
    "view": (ViewJson,),
    "list": (Inventory, Activity),
    "rename": (RenameResult,),
    "delete": (Removal,),
    "prune": (Pruning,),
    "backup": (BackupResult,),
    "check": (StoreCheck,),
    "merge": (MergeResult,),
    "split": (SplitResult,),
    "info": (InfoResult,),
    "any command that fails": (ErrorJson,),
}
"""Command -> the objects that it may print."""
