"""What came of a storm, and how it is told."""

from __future__ import annotations

import resource
from dataclasses import dataclass, field

from tests.faults.paid import KILLS, Blow


@dataclass(slots=True)
class Felt:
    """A fault, and for how long it was felt."""

    what: str
    at: float
    """Seconds since the storm began."""
    lasted: float = 0.0
    """Seconds for which the test kept it up."""
    seconds: float | None = None
    """From its end until all that it had stopped went on."""

    @property
    def after(self) -> float:
        """Seconds after its end in which it may have cut something off; a kill has none."""
        return 0.0 if self.what.startswith(KILLS) else self.seconds or 0.0


@dataclass(slots=True)
class Report:
    """What came of it."""

    repositories: int
    seed: int
    longest: float
    clean_seconds: float = 0.0
    storm_seconds: float = 0.0
    faults: list[Felt] = field(default_factory=list)
    wrong: dict[str, int] = field(default_factory=dict)
    different: dict[str, list[str]] = field(default_factory=dict)
    """Repositories whose digest is not the one without faults, and in what."""
    digests: int = 0
    kills: int = 0
    prompts: int = 0
    """Questions that the engine got in the storm."""
    again: int = 0
    """Those among them that came to nothing, and were asked again."""
    paid: int = 0
    """Those of them that the engine had answered to the end."""
    unexplained: list[str] = field(default_factory=list)
    """Those of them that no fault has cut off: their stage, and when they began and ended."""

    @property
    def sound(self) -> bool:
        equal = not self.wrong and not self.different
        return equal and not self.unexplained and not self.late

    def blows(self, began: float) -> list[Blow]:
        """The faults of a storm that began at `began`, in seconds since the epoch."""
        return [
            Blow(one.what, began + one.at, began + one.at + one.lasted + one.after)
            for one in self.faults
        ]

    @property
    def late(self) -> list[Felt]:
        """Faults that were felt for too long."""
        return [one for one in self.faults if one.seconds is None or one.seconds > self.longest]


def table(report: Report) -> str:
    """For each kind of fault: how many, and for how long the worst of them was felt."""
    kinds: dict[str, list[float]] = {}
    for felt in report.faults:
        kinds.setdefault(felt.what, []).append(felt.seconds or 0.0)
    lines = [f"{'fault':24} {'times':>5} {'felt for (median, longest)':>28}"]
    for kind, seconds in sorted(kinds.items()):
        middle, longest = sorted(seconds)[len(seconds) // 2], max(seconds)
        lines.append(f"{kind:24} {len(seconds):5} {middle:19.1f} s {longest:5.1f} s")
    peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss // 1024
    unlike = "".join(f"\n{name}: {what}" for name, what in report.different.items())
    return (
        "\n".join(lines)
        + f"""
{report.digests} digests of {report.repositories} repositories, {len(report.different)} unlike those \
without faults{unlike}
{report.clean_seconds:.0f} s without faults, {report.storm_seconds:.0f} s with them; the largest \
process had {peak} MB
{report.kills} kills; {report.prompts} questions to the engine, {report.again} of them in vain, of \
which it had answered {report.paid} to the end; {len(report.unexplained)} that no fault explains\
{"".join(f"{chr(10)}  {one}" for one in report.unexplained)}
rows that are wrong: {report.wrong or "none"}"""
    )
