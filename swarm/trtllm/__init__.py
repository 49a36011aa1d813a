"""TensorRT-LLM on one node or over several."""
