// kafkajs: classic groups, admin of groups, transactions. Prints PASS or FAIL lines.
const { Kafka, logLevel } = require('kafkajs')
const { check, same, eventually, numbers, sorted, shared } = require('./check.js')

const run = Math.random().toString(36).slice(2, 10)
const kafka = new Kafka({ clientId: 'lane', brokers: [process.argv[2]], logLevel: logLevel.NOTHING })
const admin = kafka.admin()

async function topic (name, numPartitions = 4) {
  const full = `kjg-${run}-${name}`
  await admin.createTopics({ topics: [{ topic: full, numPartitions }], waitForLeaders: true })
  // Apache Kafka answers before every part of it knows the topic.
  await eventually(() => admin.fetchTopicOffsets(full).then(list => list.length === numPartitions, () => false), 'the topic is there')
  return full
}

async function produce (topic, n, partitions = 4) {
  const producer = kafka.producer()
  await producer.connect()
  await producer.send({ topic, messages: numbers(n).map(i => ({ value: String(i), partition: i % partitions })) })
  await producer.disconnect()
}

async function member (groupId, topics, options = {}) {
  const consumer = kafka.consumer({ groupId, sessionTimeout: 6000, heartbeatInterval: 300, rebalanceTimeout: 6000, metadataMaxAge: 500, maxWaitTimeInMs: 100, ...options })
  const m = { consumer, values: [], partitions: [], owned: () => m.partitions }
  consumer.on(consumer.events.GROUP_JOIN, e => { m.partitions = Object.entries(e.payload.memberAssignment).flatMap(([t, list]) => list.map(p => t + '/' + p)).sort() })
  consumer.on(consumer.events.REBALANCING, () => { m.partitions = [] })
  await consumer.connect()
  await consumer.subscribe({ topics, fromBeginning: true })
  await consumer.run({ autoCommit: options.autoCommit ?? false, eachMessage: async ({ message }) => { m.values.push(Number(message.value)) } })
  m.close = () => consumer.disconnect()
  return m
}

async function main () {
  await admin.connect()
  const name = await topic('group')
  const group = `kjg-${run}`
  await produce(name, 200)
  await check('members-come-and-leave', async () => {
    const a = await member(group, [name])
    await eventually(() => shared([a], 4) && a.values.length === 200, 'one member')
    same(sorted(a.values), numbers(200))
    const b = await member(group, [name])
    const c = await member(group, [name])
    await eventually(() => shared([a, b, c], 4), 'three members')
    await a.consumer.commitOffsets(numbers(4).map(partition => ({ topic: name, partition, offset: '50' })))
    await a.close()
    await eventually(() => shared([b, c], 4), 'two members')
    await b.close()
    await eventually(() => shared([c], 4), 'one member again')
    await new Promise(resolve => setTimeout(resolve, 300))
    c.values = []
    await produce(name, 40)
    await eventually(() => c.values.length >= 40, 'read on')
    same(sorted(c.values).slice(-10), numbers(40).slice(-10))
    await c.close()
  })
  await check('seek', async () => {
    const a = await member(group, [name])
    await eventually(() => shared([a], 4) && a.values.length === 40, 'from the commits on')
    a.values = []
    a.consumer.seek({ topic: name, partition: 2, offset: '58' })
    await eventually(() => a.values.length >= 2, 'after seek')
    same(a.values, [34, 38])
    await a.close()
  })
  await check('pause-and-resume', async () => {
    const a = await member(group + '-pause', [name])
    await eventually(() => shared([a], 4) && a.values.length === 240, 'one member')
    a.consumer.pause([{ topic: name, partitions: [1] }])
    await new Promise(resolve => setTimeout(resolve, 300))
    a.values = []
    await produce(name, 40)
    await eventually(() => a.values.length >= 30, 'the three others')
    same(a.values.filter(v => v % 4 === 1), [])
    a.consumer.resume([{ topic: name, partitions: [1] }])
    await eventually(() => a.values.length >= 40, 'resumed')
    await a.close()
  })
  await check('pattern', async () => {
    const first = await topic('re-one', 1)
    const second = await topic('re-two', 1)
    const a = await member(group + '-re', [new RegExp(`^kjg-${run}-re-.*`)])
    await eventually(() => JSON.stringify(a.owned()) === JSON.stringify([first + '/0', second + '/0']), 'the topics that fit')
    await a.close()
  })
  await check('auto-commit', async () => {
    const a = await member(group + '-auto', [name], { autoCommit: true })
    await eventually(() => a.values.length === 280, 'all')
    await a.close()
    const got = await admin.fetchOffsets({ groupId: group + '-auto', topics: [name] })
    same(got[0].partitions.map(p => p.offset).sort(), ['70', '70', '70', '70'])
  })
  await check('admin-of-groups', async () => {
    const id = group + '-admin'
    const a = await member(id, [name])
    await eventually(() => shared([a], 4), 'one member')
    const described = (await admin.describeGroups([id])).groups[0]
    same([described.state, described.members.length], ['Stable', 1])
    same((await admin.listGroups()).groups.some(g => g.groupId === id), true)
    await admin.deleteGroups([id]).then(() => { throw new Error('a group with members was deleted') }, e => same(e.groups[0].errorCode, 68))
    await a.close()
    await admin.setOffsets({ groupId: id, topic: name, partitions: [{ partition: 0, offset: '3' }] })
    same((await admin.fetchOffsets({ groupId: id, topics: [name] }))[0].partitions.find(p => p.partition === 0).offset, '3')
    await admin.resetOffsets({ groupId: id, topic: name, earliest: true })
    await admin.deleteGroups([id])
    same((await admin.listGroups()).groups.some(g => g.groupId === id), false)
  })
  await check('configs-and-records', async () => {
    await admin.alterConfigs({ validateOnly: false, resources: [{ type: 2, name, configEntries: [{ name: 'retention.ms', value: '1000000' }] }] })
    const got = await admin.describeConfigs({ resources: [{ type: 2, name, configNames: ['retention.ms'] }] })
    same(got.resources[0].configEntries[0].configValue, '1000000')
    await admin.deleteTopicRecords({ topic: name, partitions: [{ partition: 0, offset: '5' }] })
    same((await admin.fetchTopicOffsets(name)).find(p => p.partition === 0).low, '5')
  })
  await check('transactions', async () => {
    const source = await topic('txn-in', 1)
    const sink = await topic('txn-out', 1)
    const consumerGroupId = group + '-txn'
    const producer = kafka.producer({ transactionalId: consumerGroupId, idempotent: true, maxInFlightRequests: 1 })
    await producer.connect()
    const first = await producer.transaction()
    await first.send({ topic: sink, messages: [{ value: '1' }] })
    await first.abort()
    const second = await producer.transaction()
    await second.send({ topic: sink, messages: [{ value: '2' }] })
    await second.sendOffsets({ consumerGroupId, topics: [{ topic: source, partitions: [{ partition: 0, offset: '12' }] }] })
    await second.commit()
    await eventually(async () => (await admin.fetchOffsets({ groupId: consumerGroupId, topics: [source] }))[0].partitions[0].offset === '12', 'the offset is there')
    for (const [readUncommitted, want] of [[false, [2]], [true, [1, 2]]]) {
      const a = await member(group + '-read-' + readUncommitted, [sink], { readUncommitted })
      await eventually(() => a.values.length >= want.length, 'the records')
      await new Promise(resolve => setTimeout(resolve, 300))
      same(a.values, want)
      await a.close()
    }
    await producer.disconnect()
  })
  await admin.disconnect()
}
main().catch(e => { console.log('FAIL session: ' + e); process.exit(1) }).then(() => process.exit(0))
