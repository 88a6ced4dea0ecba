"""How a student's loss and its gradient are computed fast: without padding, without whole logits, in cheap types.

`learner` is what the training loop uses; the others are one idea each.
"""
