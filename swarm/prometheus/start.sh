#!/bin/sh
# Prometheus for the stack: its configuration, how often it looks, and after that the engines and where alerts go.
set -eu
every=$SPARKY_PROMETHEUS_INTERVAL
config=${SPARKY_PROMETHEUS_RUN:-/tmp}/prometheus.yml
host=${SPARKY_GATEWAY_TARGET%:*}
port=${SPARKY_GATEWAY_TARGET##*:}

# A name stands for each engine behind it; an address, of the one server over several nodes, for itself.
case $host in
*[!0-9.]*) found="dns_sd_configs: [{names: ['$host'], type: A, port: $port, refresh_interval: $every}]" ;;
*) found="static_configs: [{targets: ['$host:$port']}]" ;;
esac
{
    sed "s/_interval: 15s/_interval: $every/" "$(dirname "$0")/prometheus.yml"
    # TensorRT-LLM's own figures; they need return_perf_metrics in its configuration.
    cat <<YAML
  - job_name: engines
    metrics_path: $SPARKY_ENGINE_METRICS
    $found
YAML
    if [ -n "$SPARKY_ALERTMANAGERS" ]; then
        targets=$(printf %s "$SPARKY_ALERTMANAGERS" | sed "s/[^, ][^, ]*/'&'/g")
        printf 'alerting: {alertmanagers: [{static_configs: [{targets: [%s]}]}]}\n' "$targets"
    fi
} >"$config"
exec prometheus --config.file="$config" --storage.tsdb.path=/prometheus \
    --storage.tsdb.retention.time="$SPARKY_PROMETHEUS_KEPT" --storage.tsdb.retention.size="$SPARKY_PROMETHEUS_DISK"
