"""Students: seq2seq and causal Hugging Face models behind one small interface.

base.py     the interface, and the examples that a student trains on
seq2seq.py  T5 and its kind          causal.py  decoder-only models
inputs.py   what a student reads and writes
loading.py  from a name or a folder  saving.py  an ordinary folder, with a model card
predict.py  rank options and generate answers for questions
scoring.py  options after an input that is read once    decoding.py  greedy text without finished rows
lora.py     low-rank additions       token_lengths.py  how many tokens a text is, without the weights
loss/       the loss and its gradient, fast
"""
