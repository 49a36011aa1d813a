"""How findings are told: a line each as they come, or all of them as JSON."""

from __future__ import annotations

from collections.abc import Iterable

from sparky.cli import output
from sparky.findings import Finding, Health

STYLES = {Health.OK: "green", Health.WARN: "yellow", Health.FAIL: "bold red"}


def tell(findings: Iterable[Finding], waiting: output.Waiting, *, as_json: bool) -> int:
    """Tell all findings, each as soon as it is made. Returns 1 if something has failed, else 0."""
    found = []
    for finding in findings:
        found.append(finding)
        if not as_json:
            waiting.stop()
            _line(finding)
    well = all(finding.health is not Health.FAIL for finding in found)
    if as_json:
        output.as_json(
            {
                "ok": well,
                "findings": [
                    {
                        "part": finding.part,
                        "health": finding.health.value,
                        "what": finding.what,
                        "remedy": finding.remedy,
                    }
                    for finding in found
                ],
            }
        )
    return 0 if well else 1


def _line(finding: Finding) -> None:
    from rich.text import Text

    output.show(
        Text.assemble(
            (f"{finding.health.value:<4} ", STYLES[finding.health]),
            (f"{finding.part}: ", "bold"),
            output.harmless(finding.what),
            (f"\n     {output.harmless(finding.remedy)}" if finding.remedy else "", "dim"),
        ),
        wrap=False,
    )
