"""What Prometheus is told: its configuration as start.sh completes it, and when each alert comes."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.swarm.test_prometheus import FILES, ROOT, alerts


def test_each_alert_comes_when_it_must_and_not_before() -> None:
    done = subprocess.run(
        ["promtool", "test", "rules", "rules_test.yml"],
        cwd=FILES,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_each_alert_is_tested_and_has_its_place_in_the_runbook() -> None:
    links = {alert["alert"]: alert["annotations"]["runbook"] for alert in alerts()}
    tested: dict[str, list[bool]] = {}
    for case in yaml.safe_load((FILES / "rules_test.yml").read_text())["tests"]:
        for one in case["alert_rule_test"]:
            tested.setdefault(one["alertname"], []).append(bool(one["exp_alerts"]))
    assert all(set(told) == {True, False} for told in tested.values())
    assert tested.keys() == links.keys()
    headings = re.findall(r"^## (\w+)$", (ROOT / "docs/runbook.md").read_text(), re.MULTILINE)
    assert sorted(links) == sorted(headings)
    for name, link in links.items():
        assert link == f"docs/runbook.md#{name.lower()}"


@pytest.mark.parametrize(
    ("target", "alertmanagers", "told"),
    [
        ("trtllm:8355", "", {"dns_sd_configs": [{"names": ["trtllm"], "port": 8355}]}),
        ("10.0.0.4:8355", "", {"static_configs": [{"targets": ["10.0.0.4:8355"]}]}),
        ("trtllm:8355", "one:9093, two:9093", None),
    ],
)
def test_prometheus_takes_the_stacks_own_configuration(
    tmp_path: Path, target: str, alertmanagers: str, told: dict[str, Any] | None
) -> None:
    """As start.sh completes it: where engines are, behind a name or at an address, how often all are asked, and who hears alerts."""
    config = start(tmp_path, target, alertmanagers)
    assert set(re.findall(r"_interval: (\w+)", yaml.safe_dump(config))) == {"7s"}
    (engines,) = [job for job in config["scrape_configs"] if job["job_name"] == "engines"]
    assert engines["metrics_path"] == "/prometheus/metrics"
    if told:
        for kind, (one,) in told.items():
            assert one.items() <= engines[kind][0].items()
    hear = [
        manager["static_configs"] for manager in config.get("alerting", {}).get("alertmanagers", ())
    ]
    assert hear == ([[{"targets": ["one:9093", "two:9093"]}]] if alertmanagers else [])


def start(folder: Path, target: str, alertmanagers: str) -> dict[str, Any]:
    """What start.sh writes and hands to Prometheus, which finds no fault with it."""
    stand_in = folder / "bin" / "prometheus"
    stand_in.parent.mkdir()
    stand_in.write_text('#!/bin/sh\nexec promtool check config "${1#--config.file=}"\n')
    stand_in.chmod(0o755)
    variables = {
        "PATH": f"{stand_in.parent}:/usr/bin:/bin",
        "SPARKY_PROMETHEUS_RUN": str(folder),
        "SPARKY_GATEWAY_TARGET": target,
        "SPARKY_ENGINE_METRICS": "/prometheus/metrics",
        "SPARKY_ALERTMANAGERS": alertmanagers,
        "SPARKY_PROMETHEUS_INTERVAL": "7s",
        "SPARKY_PROMETHEUS_KEPT": "30d",
        "SPARKY_PROMETHEUS_DISK": "10GB",
    }
    files = shutil.copytree(FILES, folder / "prometheus")
    text = (files / "prometheus.yml").read_text().replace("/etc/prometheus", str(files))
    (files / "prometheus.yml").write_text(text)
    done = subprocess.run(
        ["sh", str(files / "start.sh")],
        env=variables, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    return dict(yaml.safe_load((folder / "prometheus.yml").read_text()))
