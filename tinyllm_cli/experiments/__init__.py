"""Stage: the paper's experiments as plans of trainings and evaluations, each in processes of its own."""
