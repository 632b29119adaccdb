"""The worker pool on a Ray cluster: tasks on any number of machines that share the folder of results."""

import logging
from typing import Any, Self

from pipeline.config.study_schema import StudyConfig
from pipeline.runtime import worker_pool
from pipeline.runtime.errors import RunError, UserError
from pipeline.runtime.ray import LOCAL_RAY, LOCAL_RAY_SETTINGS, prepare_ray, ray_address, worker_environment
from pipeline.runtime.worker_pool import Key, ProgressLog, TaskResult, Tasks, Value, WorkerPool


class RayWorkerPool(WorkerPool):
    """A `WorkerPool` whose tasks Ray schedules, for `with`: on a cluster, or on `workers` CPUs of this machine.

    Where no cluster is named, Ray is started for this process alone and listens on 127.0.0.1; RunError where that
    fails. Raises UserError where the cluster cannot be reached, or Ray on this machine lacks the CPUs or GPUs of a
    task.
    """

    def __init__(self, workers: int, study: StudyConfig) -> None:
        super().__init__(workers)
        self.study = study

    def __enter__(self) -> Self:
        address, key = ray_address(self.study.address), "study.address" if self.study.address else "RAY_ADDRESS"
        prepare_ray(address, key)
        import ray
        from ray.exceptions import RayError

        local: dict[str, Any] = {**LOCAL_RAY_SETTINGS, "num_cpus": self.workers} if address == LOCAL_RAY else {}
        try:
            ray.init(address, runtime_env={"env_vars": worker_environment()}, logging_level=logging.WARNING, **local)
        except (ConnectionError, RayError, RuntimeError, ValueError) as error:
            reason = " ".join(str(error).split())
            if address == LOCAL_RAY:
                raise RunError(f"Ray did not start here: {reason}") from None
            raise UserError(f"{key}={address}: {reason}") from None
        available: dict[str, float] = ray.cluster_resources()  # type: ignore[no-untyped-call]
        for name, per_task in (("CPU", self.study.task_cpus), ("GPU", self.study.task_gpus)):
            if address == LOCAL_RAY and per_task > available.get(name, 0):
                ray.shutdown()
                raise UserError(f"study.task_{name.lower()}s={per_task:g}: Ray here has {available.get(name, 0):g}")
        return self

    def __exit__(self, error: type[BaseException] | None, *_: object) -> None:
        import ray

        ray.shutdown()  # tasks that are still running end too

    def do(self, tasks: Tasks[Key, Value], label: str) -> dict[Key, TaskResult[Value]]:
        """Run every task, with progress logged under `label`; results are in the order of `tasks`.

        Where a process or its machine dies, its task is run again, up to `task_retries` times, and then has failed.
        """
        import ray

        cpus, gpus, retries = self.study.task_cpus, self.study.task_gpus, self.study.task_retries
        attempt: Any = ray.remote(num_cpus=cpus, num_gpus=gpus, max_retries=retries)(worker_pool.attempt)
        pending: dict[Any, Key] = {attempt.remote(task): key for key, task in tasks.items()}
        progress = ProgressLog(label, len(tasks))
        results: dict[Key, TaskResult[Value]] = {}
        while pending:
            ready, _ = ray.wait(list(pending), num_returns=len(pending), timeout=worker_pool.LOG_INTERVAL_SECONDS)
            for reference in ready:
                results[pending.pop(reference)] = progress.count(_result(reference))
        return {key: results[key] for key in tasks}


def _result(reference: Any) -> TaskResult[Any]:
    """The result of a task; where Ray itself reports a failure, with Ray's reason."""
    import ray
    from ray.exceptions import NodeDiedError, OutOfMemoryError, RayError, WorkerCrashedError

    try:
        result: TaskResult[Any] = ray.get(reference)
    except RayError as error:
        died = isinstance(error, NodeDiedError | OutOfMemoryError | WorkerCrashedError)
        return TaskResult(None, worker_pool.DIED if died else " ".join(str(error).split()))
    return result
