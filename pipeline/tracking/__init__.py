"""The record of a run on disk, which is the truth, and MLflow, which is a view of it."""
