// A life of pg-boss: two instances, every way a job is made and ends. Arguments: the URL. Prints, last, how many jobs ended in which state.
import assert from 'node:assert/strict'
import { createRequire } from 'node:module'

// The packages are where the test runs this, not beside it.
const { PgBoss } = createRequire(process.cwd() + '/')('pg-boss')
const url = process.argv[2]

/** Waits until something is so. */
async function until (what, check) {
  const end = Date.now() + 15_000
  while (!await check()) {
    assert(Date.now() < end, `never: ${what}; errors: ${errors}`)
    await new Promise(resolve => setTimeout(resolve, 50))
  }
}

const options = {
  connectionString: url, max: 5, useListenNotify: true, superviseIntervalSeconds: 1, monitorIntervalSeconds: 1, maintenanceIntervalSeconds: 1,
  cronMonitorIntervalSeconds: 1, cronWorkerIntervalSeconds: 1, persistQueueStats: true
}
const errors = []
const [boss, other] = [new PgBoss(options), new PgBoss(options)]
for (const each of [boss, other]) each.on('error', error => errors.push(error))
await boss.start() // makes the schema
await other.start()

const state = async (queue, id) => (await boss.getJobById(queue, id))?.state
const becomes = (queue, id, wanted) => until(`${queue} ${id} is ${wanted}`, async () => await state(queue, id) === wanted)

// Many jobs, two instances with several workers each, some of them woken by NOTIFY.
const done = new Set()
await boss.createQueue('many', { notify: true })
const often = { pollingIntervalSeconds: 0.5, notifyPollingIntervalSeconds: 1 }
for (const each of [boss, other]) {
  await each.work('many', { ...often, batchSize: 10, includeMetadata: true }, async jobs => { jobs.forEach(job => done.add(job.id)) })
  await each.work('many', often, async ([job]) => { done.add(job.id) })
}
for (let i = 0; i < 40; i++) await boss.send('many', { i }, { priority: i % 3 })
await boss.insert('many', Array.from({ length: 100 }, (_, i) => ({ data: { i }, priority: i % 5 })))
await boss.sendAfter('many', { later: true }, null, 1)
await boss.sendAfter('many', { later: true }, null, new Date(Date.now() + 1000))
await until('142 jobs done', () => done.size === 142)

// A queue with a partition of its own, made by a function in the server.
await boss.createQueue('apart', { partition: true })
const apart = await boss.send('apart', { apart: true })
const [fetchedApart] = await boss.fetch('apart')
assert.equal(fetchedApart.id, apart)
await boss.complete('apart', apart, { done: true })

// Failing: twice with a retry, then for good into the dead letter queue, and from there back again.
await boss.createQueue('dead')
await boss.createQueue('failing', { retryLimit: 2, retryDelay: 0, deadLetter: 'dead' })
let attempts = 0
const failing = await boss.send('failing', { fails: true })
const worker = await boss.work('failing', often, async () => { attempts++; throw new Error(`attempt ${attempts}`) })
await becomes('failing', failing, 'failed')
assert.equal(attempts, 3)
await boss.offWork('failing', { id: worker })
await until('it is in the dead letter queue', async () => (await boss.findJobs('dead')).length === 1)
assert.equal(await boss.redrive('dead'), 1)
const [redriven] = await boss.fetch('failing')
await boss.complete('failing', redriven.id)
await boss.retry('failing', failing)
const [again] = await boss.fetch('failing')
assert.equal(again.id, failing)
await boss.complete('failing', failing)

// By hand: fetch, touch, cancel, resume, complete what never ran, fail what waits, change what waits, delete.
await boss.createQueue('hand', { heartbeatSeconds: 10 })
const [a, b, c, d, e] = await Promise.all(Array.from({ length: 5 }, (_, i) => boss.send('hand', { i }, { priority: 9 - i })))
const [first] = await boss.fetch('hand', { includeMetadata: true })
await boss.touch('hand', first.id)
await boss.complete('hand', first.id)
await boss.cancel('hand', [b, c, d, e].filter(id => id !== first.id).concat(a === first.id ? [] : [a]))
await boss.resume('hand', e === first.id ? d : e)
const [resumed] = await boss.fetch('hand')
await boss.cancel('hand', resumed.id)
const waiting = await boss.send('hand', { waits: true }, { startAfter: 3600 })
await boss.update('hand', { waits: false }, { id: waiting, startAfter: 7200 })
await boss.complete('hand', waiting, null, { includeQueued: true })
const failed = await boss.send('hand', { waits: true }, { startAfter: 3600, retryLimit: 0 })
await boss.fail('hand', failed, { reason: 'not wanted' })
const deleted = await boss.send('hand', { waits: true }, { startAfter: 3600 })
await boss.deleteJob('hand', deleted)
await boss.upsert('hand', { n: 1 }, { singletonKey: 'only', startAfter: 3600 })
await boss.upsert('hand', { n: 2 }, { singletonKey: 'only', startAfter: 3600 })

// Policies, throttling, debouncing, events.
await boss.createQueue('single', { policy: 'stately' })
await boss.send('single'); await boss.send('single')
const [single] = await boss.fetch('single')
await boss.complete('single', single.id)
await boss.createQueue('slow')
await boss.sendThrottled('slow', null, null, 60); await boss.sendThrottled('slow', null, null, 60)
await boss.sendDebounced('slow', null, null, 60)
await boss.subscribe('event', 'slow')
await boss.publish('event', { published: true })

// A flow: the child waits for its parents.
const flow = await boss.flow([
  { ref: 'parent', name: 'slow', data: {} },
  { ref: 'child', name: 'slow', data: {}, dependsOn: ['parent'] }
])
await until('the parent is fetched and completed', async () => {
  const jobs = await boss.fetch('slow', { batchSize: 10 })
  await Promise.all(jobs.map(job => boss.complete('slow', job.id)))
  return await state('slow', flow.parent) === 'completed'
})
await until('the child is fetched and completed', async () => {
  const jobs = await boss.fetch('slow')
  await Promise.all(jobs.map(job => boss.complete('slow', job.id)))
  return await state('slow', flow.child) === 'completed'
})

// A worker that dies: its job expires, and is tried again.
await boss.createQueue('expiring', { retryLimit: 1, retryDelay: 0 })
const expiring = await boss.send('expiring', null, { expireInSeconds: 1 })
await boss.fetch('expiring')
await becomes('expiring', expiring, 'retry')
const [second] = await boss.fetch('expiring')
await boss.complete('expiring', second.id)

// Cron: what the last minute held is sent at once.
let ticks = 0
await boss.createQueue('cron')
await boss.work('cron', often, async () => { ticks++ })
await boss.schedule('cron', '* * * * *', { cron: true })
await until('a tick of cron', () => ticks > 0)
await boss.unschedule('cron')

await boss.supervise()
await Promise.all([boss.stop({ graceful: true, timeout: 10_000 }), other.stop({ graceful: true, timeout: 10_000 })])
assert.deepEqual(errors, [])
console.log(JSON.stringify({ done: done.size, attempts, ticks }))
