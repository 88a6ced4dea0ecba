"""Merge databases with the folders of their runs, and split one into shards."""
