"""Stage: train a student on eq. 2 and record the run."""
