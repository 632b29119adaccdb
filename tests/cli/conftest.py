from tests.prediction.conftest import make_run, one_thread
from tests.prediction.explain.conftest import tiny, trained_with, write_run

__all__ = ["make_run", "one_thread", "tiny", "trained_with", "write_run"]
