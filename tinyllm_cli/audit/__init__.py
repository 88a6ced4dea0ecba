"""Stage: check rationales and questions before training."""
