"""A life of Procrastinate: two workers, every way a job is made and ends. Arguments: the URL. Prints, last, how many jobs ended in which state."""

import asyncio
import datetime
import json
import sys

import procrastinate
from procrastinate import exceptions, jobs

app = procrastinate.App(connector=procrastinate.PsycopgConnector(conninfo=sys.argv[1], min_size=1, max_size=8))
done, attempts, ticks = [], [], []
running = asyncio.Event()


@app.task(queue="many")
async def count(n: int) -> None:
    done.append(n)


@app.task(queue="many", retry=2, pass_context=True)
async def fail(context: procrastinate.JobContext, until_attempt: int) -> None:
    attempts.append(context.job.attempts)
    if context.job.attempts < until_attempt:
        raise ValueError("as it should")


@app.task(queue="slow", pass_context=True)
async def slow(context: procrastinate.JobContext) -> None:
    running.set()
    while not context.should_abort():
        await asyncio.sleep(0.02)
    raise exceptions.JobAborted


@app.periodic(cron="* * * * * *")
@app.task(queue="periodic", pass_context=False)
async def tick(timestamp: int) -> None:
    ticks.append(timestamp)


async def until(what: str, check) -> None:
    for _ in range(1200):
        if await check():
            return
        await asyncio.sleep(0.05)
    raise AssertionError(f"never: {what}")


async def status(job: int) -> str:
    return (await app.job_manager.get_job_status_async(job)).value


def now() -> datetime.datetime:
    return datetime.datetime.now(datetime.timezone.utc)


async def life() -> None:
    await app.schema_manager.apply_schema_async()
    options = {"listen_notify": True, "fetch_job_polling_interval": 0.2, "abort_job_polling_interval": 0.2, "update_heartbeat_interval": 0.2,
               "install_signal_handlers": False, "shutdown_graceful_timeout": 10}
    workers = [asyncio.create_task(app.run_worker_async(name=name, concurrency=4, **options)) for name in ("a", "b")]

    # Many, one by one and as a batch, with priorities and locks, now and later.
    for n in range(40):
        await count.configure(priority=n % 3, lock=f"lock {n % 4}" if n % 2 else None).defer_async(n=n)
    await count.batch_defer_async(*({"n": n} for n in range(100)))
    await count.configure(schedule_in={"seconds": 1}).defer_async(n=1)
    await count.configure(schedule_at=now() + datetime.timedelta(seconds=1)).defer_async(n=2)

    async def all_done() -> bool:
        return len(done) == 142

    await until("142 jobs done", all_done)

    # Only one of those with a queueing lock waits.
    later = count.configure(schedule_in={"hours": 1}, queueing_lock="one")
    waiting = await later.defer_async(n=0)
    try:
        await later.defer_async(n=0)
        raise AssertionError("two with one queueing lock")
    except exceptions.AlreadyEnqueued:
        pass

    # Retried until it succeeds; failed for good, and retried by hand; cancelled; deleted; aborted while it runs.
    succeeds, fails = await fail.defer_async(until_attempt=2), await fail.defer_async(until_attempt=99)

    async def both_ended() -> bool:
        return [await status(succeeds), await status(fails)] == ["succeeded", "failed"]

    await until("one succeeds in the end, one fails", both_ended)
    assert sorted(attempts) == [0, 0, 1, 1, 2, 2], attempts
    await app.job_manager.retry_job_by_id_async(fails, retry_at=now() + datetime.timedelta(hours=1), priority=5)
    assert await app.job_manager.cancel_job_by_id_async(fails)
    assert await app.job_manager.cancel_job_by_id_async(waiting, delete_job=True)
    aborted = await slow.defer_async()
    await asyncio.wait_for(running.wait(), 60)
    assert await app.job_manager.cancel_job_by_id_async(aborted, abort=True)

    async def is_aborted() -> bool:
        return await status(aborted) == "aborted"

    await until("the running one is aborted", is_aborted)

    async def ticked() -> bool:
        return len(ticks) >= 2

    await until("two ticks of a periodic task", ticked)

    # The workers stop; what a worker that died was doing is found and tried again.
    for worker in workers:
        worker.cancel()
    await asyncio.gather(*workers, return_exceptions=True)
    stalled = await slow.defer_async()
    dead = await app.job_manager.register_worker()
    job = await app.job_manager.fetch_job(queues=["slow"], worker_id=dead)
    assert job and job.id == stalled
    await app.job_manager.update_heartbeat(dead)
    assert dead in await app.job_manager.prune_stalled_workers(seconds_since_heartbeat=0)
    for job in await app.job_manager.get_stalled_jobs():
        await app.job_manager.retry_job(job)
    await app.job_manager.finish_job(job, status=jobs.Status.SUCCEEDED, delete_job=False)
    await app.job_manager.delete_old_jobs(nb_hours=0, include_failed=True, include_cancelled=True)

    print(json.dumps({"done": len(done), "attempts": len(attempts), "ticks": len(ticks)}))


async def main() -> None:
    async with app.open_async():
        await life()


asyncio.run(main())
