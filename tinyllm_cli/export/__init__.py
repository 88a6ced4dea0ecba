"""The export stage: a run's student in another runtime's format, checked before it counts.

export.py          write, check, and only then give the folder its name
check.py           the same answers, before and after
to_onnx.py         torch's own exporter, run by ONNX Runtime
to_ctranslate2.py  CTranslate2's converter and runtime
to_gguf.py         llama.cpp's format, written with its `gguf` package, read back by transformers
data_rows.py       training data as rows for other trainers
data_files.py      these rows as files
"""
