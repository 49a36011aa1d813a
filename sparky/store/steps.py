"""The statements by which a step is claimed, kept and ended, each with its own fence."""

from __future__ import annotations

import sqlalchemy as sa

from sparky.store.connection import LATER
from sparky.store.dispatch import ROOM

CLAIM = sa.text("""
    WITH taken AS (
        UPDATE steps SET state = 'running', attempt = attempt + 1, worker = :worker,
               lease_until = now() + :lease, started_at = now(), not_before = NULL
        WHERE id = :id AND farm = :farm AND state = 'waiting'
          AND (not_before IS NULL OR not_before <= now())
          AND NOT EXISTS (SELECT FROM paused WHERE paused.farm = :farm)
        RETURNING id, job_id, stage, key, attempt, failures, lease_until
    ), begun AS (
        -- Only a job's first stage writes its row here: a claim that locked a step and then a job
        -- would meet what ends a step, which locks them the other way round.
        UPDATE jobs SET state = 'running'
        WHERE jobs.id = (SELECT job_id FROM taken WHERE stage = 'fetch') AND jobs.state = 'waiting'
    )
    SELECT taken.*, runs.id AS run_id, runs.since, runs.until, runs.options,
           repo.id AS repo_id, repo.name, repo.source, repo.location, repo.url
    FROM taken
    JOIN jobs ON jobs.id = taken.job_id
    JOIN runs ON runs.id = jobs.run_id
    JOIN repositories AS repo ON repo.id = jobs.repository_id
""")

# Renews what can be renewed at once: who holds a step's row ends the step.
KEEP = sa.text("""
    UPDATE steps SET lease_until = now() + :lease
    WHERE id IN (
        SELECT kept.id
        FROM unnest(CAST(:ids AS bigint[]), CAST(:attempts AS int[])) AS mine(id, attempt)
        CROSS JOIN LATERAL (
            SELECT held.id FROM steps AS held
            WHERE held.id = mine.id AND held.attempt = mine.attempt AND held.state = 'running'
            FOR UPDATE SKIP LOCKED
        ) AS kept
    )
    RETURNING id
""")

# What ends a step begins so: the job's row is locked first, so that there is no deadlock; the step
# ends if this attempt still holds it; and what may be rung for is counted. All of it, with what
# follows, is one statement, so it counts whole or not at all and takes one round trip.
# Who waits is asked for in the order of an index: else Postgres may think it as well to read all steps
# until one is found, which, where none waits, are all that there are.
_ENDED = f"""
    WITH job AS (
        SELECT jobs.id, jobs.run_id, runs.priority, repositories.name
        FROM jobs
        JOIN runs ON runs.id = jobs.run_id
        JOIN repositories ON repositories.id = jobs.repository_id
        WHERE jobs.id = :job
        FOR UPDATE OF jobs
    ), ended AS (
        UPDATE steps
        SET state = 'done', ended_at = now(), lease_until = NULL, worker = NULL, error = NULL,
            result = :result
        FROM job
        WHERE steps.id = :id AND steps.attempt = :attempt AND steps.state = 'running'
          AND steps.job_id = job.id
        RETURNING steps.job_id
    ), room AS (
        SELECT wanted.stage,
               {ROOM} AS free,
               (
                   SELECT true FROM steps AS silent
                   WHERE silent.farm = :farm AND silent.stage = wanted.stage
                     AND silent.state = 'waiting' AND silent.rung_at IS NULL
                     AND (silent.not_before IS NULL OR silent.not_before <= now())
                   ORDER BY silent.order_at, silent.id LIMIT 1
               ) IS NOT NULL AS silent
        FROM unnest(CAST(:stages AS text[])) AS wanted(stage)
        WHERE NOT EXISTS (SELECT FROM paused WHERE paused.farm = :farm)
    )"""  # noqa: S608 (constants alone)
_COLUMNS = """
            activities = coalesce(CAST(:activities AS int), jobs.activities),
            chunks = coalesce(CAST(:chunks AS int), jobs.chunks),
            census = coalesce(CAST(:census AS jsonb), jobs.census),
            revision = coalesce(CAST(:revision AS int), jobs.revision),
            provenance = coalesce(CAST(:provenance AS jsonb), jobs.provenance)"""
_MORE = "coalesce((SELECT bool_or(silent AND free >= :worth) FROM room), false) AS more"

# The fan-in: each summary that ends lowers its job's count, and the one that takes it to zero opens
# the roll-up. Every other stage opens the next. A new step is rung for at once unless others wait.
# Chunks of one job are two seconds apart in the order of work: the first chunk of a small
# repository comes before the hundredth of a giant, which in turn waits for minutes, not for ever.
# One of several chunks begins a little sooner, up to 40 s: a night ends when its roll-up does, which
# needs more questions than another's, one after the other, and begins with the last of the chunks.
# Each step of a run's priority counts as ten minutes of waiting.
# Who ends a step may go on with the one that follows: that one begins as it is made, where no other
# step of its stage waits for its turn, and the farm is not paused. Such an end does not wait for the
# disk: what a crash of the database takes of it is done again when the lease of the last step that
# the disk knows has run out.
ADVANCE = sa.text(f"""{_ENDED}, counted AS (
        UPDATE jobs
        SET pending = CASE WHEN :stage = 'summarize' THEN jobs.pending - 1 ELSE :opened END,
            stage = CASE WHEN :stage = 'summarize' AND jobs.pending > 1 THEN jobs.stage
                         ELSE :following END,{_COLUMNS}
        FROM ended
        WHERE jobs.id = ended.job_id
        RETURNING jobs.id, :stage <> 'summarize' OR jobs.pending = 0 AS opens
    ), made AS (
        INSERT INTO steps (job_id, farm, stage, key, position, order_at, rung_at,
                           state, attempt, worker, lease_until, started_at)
        SELECT job.id, :farm, :following, wanted.key, wanted.place - 1,
               now() + (job.priority - 5) * interval '10 minutes'
                     + (wanted.place - 1) * interval '2 seconds'
                     - least(cardinality(CAST(:keys AS text[])) - 1, 8) * interval '5 seconds',
               CASE WHEN NOT room.silent AND (at_once OR wanted.place <= room.free) THEN now() END,
               CASE WHEN at_once THEN 'running' ELSE 'waiting' END,
               at_once::int,
               CASE WHEN at_once THEN :worker END,
               CASE WHEN at_once THEN now() + :lease END,
               CASE WHEN at_once THEN now() END
        FROM counted
        JOIN job ON job.id = counted.id
        CROSS JOIN unnest(CAST(:keys AS text[])) WITH ORDINALITY AS wanted(key, place)
        LEFT JOIN room ON room.stage = :following
        CROSS JOIN LATERAL (SELECT :onward AND NOT coalesce(room.silent, true)) AS mine(at_once)
        WHERE counted.opens
        RETURNING id, key, position, rung_at, lease_until
    )
    SELECT {_MORE}, job.name, made.id, made.key, made.position, made.lease_until,
           CASE WHEN made.lease_until IS NOT NULL THEN {LATER} END AS later
    FROM ended
    JOIN job ON job.id = ended.job_id
    LEFT JOIN made ON made.rung_at IS NOT NULL
    ORDER BY made.position
""")  # noqa: S608 (constants alone)

# The last step of a job ends it; the run's count says whether that was the last of its jobs.
CLOSE = sa.text(f"""{_ENDED}, closed AS (
        UPDATE jobs SET state = :outcome, error = NULL, finished_at = now(),{_COLUMNS}
        FROM ended
        WHERE jobs.id = ended.job_id AND jobs.state IN ('waiting', 'running')
        RETURNING jobs.run_id
    ), counted AS (
        UPDATE runs SET pending = runs.pending - 1
        FROM closed WHERE runs.id = closed.run_id
        RETURNING runs.id, runs.pending
    )
    SELECT {_MORE}, counted.id AS run_id, counted.pending
    FROM ended LEFT JOIN counted ON true
""")  # noqa: S608 (constants alone)

ROLLUP = sa.text("""
    INSERT INTO steps (job_id, farm, stage, order_at)
    SELECT jobs.id, :farm, 'rollup', now() + (runs.priority - 5) * interval '10 minutes'
    FROM jobs JOIN runs ON runs.id = jobs.run_id WHERE jobs.id = :job
""")

# All that a job has done so far, if this attempt still holds its step; and its first step anew, which
# remembers how often that was.
LET_GO = sa.text("""
    DELETE FROM steps USING steps AS mine
    WHERE steps.job_id = :job AND mine.id = :id AND mine.attempt = :attempt
      AND mine.state = 'running'
    RETURNING CASE WHEN steps.stage = 'fetch' THEN steps.failures ELSE 0 END
""")
BEGIN = sa.text("""
    WITH job AS (
        UPDATE jobs SET stage = 'fetch', pending = 0 WHERE id = :job RETURNING id
    )
    INSERT INTO steps (job_id, farm, stage, failures) SELECT id, :farm, 'fetch', :begun FROM job
""")
