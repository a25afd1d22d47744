// @platformatic/kafka: groups in both protocols, admin of groups, transactions. Prints PASS or FAIL lines.
// The client wants Node 22; on Node 20 this is the one thing that it misses.
Promise.withResolvers ??= function () {
  let resolve, reject
  const promise = new Promise((a, b) => { resolve = a; reject = b })
  return { promise, resolve, reject }
}

const { Admin, Consumer, Producer, stringDeserializers, stringSerializers } = require('@platformatic/kafka')
const { check, same, eventually, numbers, sorted, shared } = require('./check.js')

const run = Math.random().toString(36).slice(2, 10)
const base = { clientId: 'lane', bootstrapBrokers: [process.argv[2]], metadataMaxAge: 500 }
const admin = new Admin(base)

async function topic (name, partitions = 4) {
  const full = `pkg-${run}-${name}`
  await admin.createTopics({ topics: [full], partitions, replicas: 1 })
  return full
}

async function produce (topic, n, partitions = 4, options = {}) {
  const producer = new Producer({ ...base, serializers: stringSerializers, ...options })
  await producer.send({ messages: numbers(n).map(i => ({ topic, key: 'k', value: String(i), partition: i % partitions })) })
  await producer.close()
}

async function member (groupId, topics, groupProtocol, options = {}) {
  const timing = groupProtocol === 'classic' ? { sessionTimeout: 6000, heartbeatInterval: 300 } : {}
  const consumer = new Consumer({ ...base, groupId, groupProtocol, ...timing, deserializers: stringDeserializers, maxWaitTime: 100, autocommit: false, ...options })
  const m = { consumer, values: [], messages: [], owned: () => (consumer.assignments ?? []).flatMap(a => a.partitions.map(p => a.topic + '/' + p)) }
  const stream = await consumer.consume({ topics, mode: 'committed', fallbackMode: 'earliest' })
  stream.on('data', message => { m.values.push(Number(message.value)); m.messages.push(message) })
  stream.on('error', e => { m.error = e })
  m.close = async () => { await stream.close(); await consumer.close(true) }
  return m
}

async function groupChecks (protocol) {
  const name = await topic(protocol)
  const group = `pkg-${run}-${protocol}`
  await check(protocol + '/members-come-and-leave', async () => {
    await produce(name, 200)
    const a = await member(group, [name], protocol)
    await eventually(() => shared([a], 4) && a.values.length === 200, 'one member: ' + a.error)
    same(sorted(a.values), numbers(200))
    const b = await member(group, [name], protocol)
    await eventually(() => shared([a, b], 4), 'two members')
    await a.close()
    await eventually(() => shared([b], 4), 'one member again')
    await b.close()
  })
  await check(protocol + '/commit', async () => {
    const a = await member(group, [name], protocol)
    await eventually(() => shared([a], 4) && a.values.length === 200, 'one member')
    await a.consumer.commit({ offsets: numbers(4).map(partition => ({ topic: name, partition, offset: 50n, leaderEpoch: 0 })) })
    const got = await a.consumer.listCommittedOffsets({ topics: [{ topic: name, partitions: [0, 1, 2, 3] }] })
    same(got.get(name).map(String), ['50', '50', '50', '50'])
    await a.close()
    await produce(name, 40)
    const b = await member(group, [name], protocol)
    await eventually(() => b.values.length >= 40, 'from the commits on')
    same(sorted(b.values), numbers(40))
    await b.close()
  })
}

async function main () {
  for (const protocol of ['classic', 'consumer']) await groupChecks(protocol)
  await check('admin-of-groups', async () => {
    const name = await topic('admin')
    const id = `pkg-${run}-admin`
    const a = await member(id, [name], 'classic')
    await eventually(() => shared([a], 4), 'one member')
    same([...(await admin.describeGroups({ groups: [id] })).values()].map(g => [g.state, g.members.size]), [['Stable', 1]])
    same((await admin.listGroups()).has(id), true)
    await admin.deleteGroups({ groups: [id] }).then(() => { throw new Error('a group with members was deleted') }, () => {})
    await a.close()
    await admin.alterConsumerGroupOffsets({ groupId: id, topics: [{ name, partitionOffsets: [{ partition: 0, offset: 3n }] }] })
    const got = await admin.listConsumerGroupOffsets({ groups: [id] })
    same(got[0].topics[0].partitions.map(p => [p.partitionIndex, String(p.committedOffset)]), [[0, '3']])
    await admin.deleteConsumerGroupOffsets({ groupId: id, topics: [{ name, partitionIndexes: [0] }] })
    await admin.deleteGroups({ groups: [id] })
    same((await admin.listGroups()).has(id), false)
  })
  await check('admin', async () => {
    const name = await topic('more', 1)
    await produce(name, 20, 1)
    await admin.createPartitions({ topics: [{ name, count: 3 }] })
    await admin.deleteRecords({ topics: [{ name, partitions: [{ partition: 0, offset: 4n }] }] })
    const got = await admin.listOffsets({ topics: [{ name, partitions: [{ partitionIndex: 0, timestamp: -2n }] }] })
    same(String(got[0].partitions[0].offset), '4')
  })
  await check('transactions', async () => {
    const sink = await topic('txn', 1)
    const producer = new Producer({ ...base, serializers: stringSerializers, transactionalId: 'pkg-' + run, idempotent: true })
    const first = await producer.beginTransaction()
    await first.send({ messages: [{ topic: sink, value: '1', partition: 0 }] })
    await first.abort()
    const second = await producer.beginTransaction()
    await second.send({ messages: [{ topic: sink, value: '2', partition: 0 }] })
    await second.commit()
    await producer.close()
    for (const [isolationLevel, want] of [[1, [2]], [0, [1, 2]]]) {
      const a = await member(`pkg-${run}-read-${isolationLevel}`, [sink], 'classic', { isolationLevel })
      await eventually(() => a.values.length >= want.length, 'the records')
      await new Promise(resolve => setTimeout(resolve, 300))
      same(a.values, want)
      await a.close()
    }
  })
  await admin.close()
}
main().catch(e => { console.log('FAIL session: ' + e); process.exit(1) }).then(() => process.exit(0))
