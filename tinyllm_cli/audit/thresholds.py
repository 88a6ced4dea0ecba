"""From which share on a finding of the audit is an error."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Thresholds:
    """Shares above which a finding is an error; 0: any finding is."""

    missing: float = 0.01
    failed: float = 0.01
    rejected: float = 0.2
    cut_off: float = 0.5
    off_topic: float = 0.02
    """Below this share, such texts are mostly good ones in other words."""

    inputs_cut: float = 0.01
    unreadable: float = 0.01
    unwritable: float = 0.01
    targets_cut: float = 0.05
    duplicates: float = 0.0
    near_duplicates: float = 0.01
    alike: float = 0.9
    """Overlap of two teachers above which the second one adds little."""

    disagree: float = 0.2
    """Krippendorff's alpha below which the answers are close to chance."""
