"""Which rationales a student learns: gates and verdicts, selection, usefulness, weights."""
