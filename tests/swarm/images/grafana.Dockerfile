# In the place of Grafana, which no index of packages has: it answers where its health is asked, and no more.
ARG BASE
FROM ${BASE}
RUN install -D /dev/null /srv/grafana/api/health
ENTRYPOINT ["python3", "-m", "http.server", "3000", "--directory", "/srv/grafana"]
HEALTHCHECK NONE
