"""Serve a GGUF file with llama.cpp's server until Ctrl-C. Run: python serve_llama_cpp.py MODEL.gguf PORT"""

import signal
import sys

import xllamacpp

ends = {signal.SIGINT, signal.SIGTERM}
signal.pthread_sigmask(signal.SIG_BLOCK, ends)  # also in the server's threads: the last line waits for them
params = xllamacpp.CommonParams()
params.model.path = sys.argv[1]
params.model_alias = {"student"}
params.port = int(sys.argv[2])
params.n_ctx = 1024
params.n_parallel = 1
server = xllamacpp.Server(params)
signal.sigwait(ends)
