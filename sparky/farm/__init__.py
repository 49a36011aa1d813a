"""The Celery farm: one app, a task a stage, and the step that holds what all tasks share."""
