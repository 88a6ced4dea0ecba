"""Stage: questions and recorded rationales into the store."""
