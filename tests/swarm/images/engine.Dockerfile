# In the place of TensorRT-LLM: a real llama.cpp with a real, small model, on the processor.
ARG SPARKY
FROM ${SPARKY}
USER root
COPY engine.py weights.gguf /engine/
ENTRYPOINT ["/opt/sparky/bin/python", "/engine/engine.py"]
