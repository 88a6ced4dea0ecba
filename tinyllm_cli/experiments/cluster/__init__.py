"""Cells of experiments on a Ray cluster: each works on a node in a small database of its own."""
