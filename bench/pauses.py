"""How much dearer the same work gets when a processor has rested before it.

A call is a few milliseconds of work after tens of milliseconds of nothing. Meanwhile the processor
sleeps or serves others, and its caches forget: on some machines the same work then takes twice the
processor time. Whoever tells of a call's processor time tells of this factor beside it.
"""

from __future__ import annotations

import json
import statistics
import time

TIMES = 40
WORK = {f"key {number}": [number, str(number)] * 3 for number in range(200)}


def dearer(pause: float) -> float:
    """Processor time of a fixed piece of work after `pause` seconds of sleep ÷ that without a pause."""
    rested, busy = ([_after(seconds) for _ in range(TIMES)] for seconds in (pause, 0.0))
    return statistics.median(rested) / statistics.median(busy)


def _after(pause: float) -> float:
    time.sleep(pause)
    began = time.thread_time()
    json.loads(json.dumps(WORK))
    return time.thread_time() - began
