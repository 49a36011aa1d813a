"""llama.cpp at the address and under the name that stack.yml gives TensorRT-LLM; or vLLM's."""

import os
import signal

import xllamacpp

params = xllamacpp.CommonParams()
params.model.path = "/engine/weights.gguf"
params.model_alias = {os.environ.get("SPARKY_TRTLLM_MODEL", "stand-in").rpartition("/")[2]}
params.hostnames = ["0.0.0.0"]
params.port = int(os.environ.get("SPARKY_TRTLLM_PORT", "8000"))
params.n_parallel = 3
params.n_ctx = 3 * 8192
# One thread each: threads that wait for each other crawl where cores are shared.
params.cpuparams.n_threads = params.cpuparams_batch.n_threads = 1
params.endpoint_metrics = True
params.ui = False
server = xllamacpp.Server(params)
signal.sigwait({signal.SIGTERM, signal.SIGINT})
