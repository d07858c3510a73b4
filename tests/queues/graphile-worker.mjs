// A life of Graphile Worker: two runners, every way a job is made and ends. Arguments: the URL. Prints, last, what was done.
import assert from 'node:assert/strict'
import { createRequire } from 'node:module'

// The packages are where the test runs this, not beside it.
const require = createRequire(process.cwd() + '/')
const { Logger, makeWorkerUtils, parseCronItems, run } = require('graphile-worker')
const { Pool } = require('pg')
const connectionString = process.argv[2]

/** Waits until something is so. */
async function until (what, check) {
  const end = Date.now() + 60_000
  while (!await check()) {
    assert(Date.now() < end, `never: ${what}`)
    await new Promise(resolve => setTimeout(resolve, 50))
  }
}

const errors = []
const logger = new Logger(() => (level, message) => { if (level === 'error' && !/Failed task/.test(message)) errors.push(message) })
const pool = new Pool({ connectionString, max: 4 })
pool.on('error', error => errors.push(error.message))
const jobs = async where => (await pool.query(`SELECT j.*, identifier AS task FROM graphile_worker._private_jobs j JOIN graphile_worker._private_tasks t ON t.id = task_id
  WHERE ${where} ORDER BY j.id`)).rows

const utils = await makeWorkerUtils({ pgPool: pool, logger })
await utils.migrate() // makes the schema

const done = []
const taskList = {
  count: async payload => { done.push(payload) },
  fail: async payload => { done.push(payload); throw new Error('as it should') },
  batch: async payload => { done.push(...payload); return payload.map(n => n === 2 ? Promise.reject(new Error('one of them')) : n) },
  slow: async (payload, { abortSignal }) => { started++; await new Promise(resolve => abortSignal?.addEventListener('abort', resolve)); throw new Error('aborted') }
}
let started = 0
const start = ({ worker, ...options } = {}) => run({
  connectionString, logger, taskList, concurrency: 4, pollInterval: 200, noHandleSignals: true,
  preset: { worker: { gracefulShutdownAbortTimeout: 500, minResetLockedInterval: 200, maxResetLockedInterval: 300, ...worker } }, ...options
})

// Many jobs, two runners: one takes jobs by itself, one by a local queue that fetches ahead.
const runners = [await start(), await start({ worker: { localQueue: { size: 10 }, completeJobBatchDelay: 5, failJobBatchDelay: 5 } })]
for (let i = 0; i < 40; i++) await utils.addJob('count', { i }, { priority: i % 3 })
await utils.addJobs(Array.from({ length: 60 }, (_, i) => ({ identifier: 'count', payload: { i }, queueName: `queue ${i % 3}` })))
await utils.addJob('count', { later: true }, { runAt: new Date(Date.now() + 1000) })
await until('101 jobs done', () => done.length === 101)
await until('they are gone', async () => (await jobs("identifier = 'count'")).length === 0)

// Keys: a job that waits is replaced, its time kept, or left alone; then removed.
const runAt = new Date(Date.now() + 3_600_000)
await utils.addJob('count', [1], { jobKey: 'key', runAt })
await utils.addJob('count', [2], { jobKey: 'key', runAt, jobKeyMode: 'replace' })
await utils.addJob('count', [3], { jobKey: 'key', jobKeyMode: 'preserve_run_at' })
await utils.addJob('count', [4], { jobKey: 'key', jobKeyMode: 'unsafe_dedupe' })
assert.equal((await jobs("key = 'key'"))[0].revision, 3)
await pool.query("SELECT graphile_worker.remove_job('key')")

// Failing: tried again later, at once when rescheduled, and for good; in a named queue and without one.
await utils.addJob('fail', { fails: 1 }, { maxAttempts: 2 })
await utils.addJob('fail', { fails: 2 }, { maxAttempts: 2, queueName: 'failing' })
await until('both failed once', async () => (await jobs("attempts = 1 AND last_error IS NOT NULL AND locked_at IS NULL")).length === 2)
const failed = (await jobs("identifier = 'fail'")).map(job => job.id)
await utils.rescheduleJobs(failed, { runAt: new Date() })
await until('both failed for good', async () => (await jobs('attempts = max_attempts AND locked_at IS NULL')).length === 2)
await utils.completeJobs(failed.slice(0, 1))
const parked = await utils.addJob('count', {}, { runAt })
await utils.permanentlyFailJobs([parked.id], 'not wanted')
await utils.addJob('batch', [1, 2, 3])
await until('the part of a batch that failed is kept', async () => (await jobs("identifier = 'batch' AND payload::text = '[2]' AND locked_at IS NULL")).length === 1)

// A runner that stops while it works: after a while its jobs are aborted and fail. What a worker leaves locked an operator unlocks.
await utils.addJobs([{ identifier: 'slow', payload: 1 }, { identifier: 'slow', payload: 2, queueName: 'slow' }])
await until('both run', () => started === 2)
await Promise.all(runners.map(runner => runner.stop()))
await utils.addJob('count', {}, { runAt, jobKey: 'dead' })
await pool.query("UPDATE graphile_worker._private_jobs SET locked_at = now(), locked_by = 'dead', attempts = attempts + 1 WHERE key = 'dead'")
await utils.forceUnlockWorkers((await jobs('locked_by IS NOT NULL')).map(job => job.locked_by))
assert.equal((await jobs('locked_at IS NOT NULL')).length, 0)

// Cron: an item that is known for ten minutes is filled up.
const cron = { crontab: '* * * * * count ?id=filled&fill=5m {filled:true}' }
await (await start({ ...cron, taskList: { count: taskList.count } })).stop()
await pool.query("UPDATE graphile_worker._private_known_crontabs SET known_since = now() - interval '10 minutes'")
done.length = 0
const filling = await start({ ...cron, taskList: { count: taskList.count } })
await until('four ticks or more', () => done.filter(payload => payload.filled).length >= 4)
await filling.stop()

await utils.cleanup({ tasks: ['GC_JOB_QUEUES', 'GC_TASK_IDENTIFIERS', 'DELETE_PERMAFAILED_JOBS'] })
await utils.release()
await pool.end()
assert.deepEqual(errors, [])
console.log(JSON.stringify({ ticks: done.length }))
