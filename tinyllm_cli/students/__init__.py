"""Students: seq2seq and causal Hugging Face models behind one small interface.

base.py     what a student is, and the examples it trains on
seq2seq.py  T5 and its kind          causal.py  decoder-only models
loading.py  from a name or a folder  saving.py  an ordinary folder, with a model card
answering.py  rank options and generate answers for questions
scoring.py  options after an input that is read once    decoding.py  greedy text, row by row until it ends
lora.py     low-rank additions       measuring.py  how many tokens a text is, without the weights
learning/   the loss and its gradient, fast
"""
