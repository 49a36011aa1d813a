# In the place of what TensorRT-LLM's image brings: its launcher and its server, in the very image
# that is built over it.
ARG TRTLLM
FROM ${TRTLLM}
COPY trtllm-llmapi-launch trtllm-serve /usr/local/bin/
COPY speech.py /opt/standin/
