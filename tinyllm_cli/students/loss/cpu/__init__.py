"""Optimizations of the loss for CPUs: rows without padding, attention per example, cheap dropout per example."""
