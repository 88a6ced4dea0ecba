"""Experiments: a plan of trainings and evaluations, each in processes of its own, gone on with after a kill."""
