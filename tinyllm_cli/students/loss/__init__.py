"""A student's loss and its gradient, fast: without padding, without whole logits, in low precision.

loss.py is what the training loop uses; each other module is one optimization.
"""
