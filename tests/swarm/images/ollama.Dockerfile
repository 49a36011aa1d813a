# In the place of Ollama: a server that speaks its API, and its command.
ARG BASE
FROM ${BASE}
COPY engines /opt/ollama/tests/engines
COPY swarm/images/ollama.py /usr/local/bin/ollama
ENV PYTHONPATH=/opt/ollama
ENTRYPOINT ["ollama"]
CMD ["serve"]
