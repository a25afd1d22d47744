// node-rdkafka: groups of the classic protocol. Prints PASS or FAIL lines.
const Kafka = require('node-rdkafka')
const { check, same, eventually, numbers, sorted, shared } = require('./check.js')

const boot = process.argv[2]
const run = Math.random().toString(36).slice(2, 10)
const wait = f => new Promise((resolve, reject) => f((e, x) => e ? reject(e) : resolve(x)))

async function topic (name, partitions = 4) {
  const full = `nrg-${run}-${name}`
  const admin = Kafka.AdminClient.create({ 'metadata.broker.list': boot })
  await wait(done => admin.createTopic({ topic: full, num_partitions: partitions, replication_factor: 1 }, done))
  admin.disconnect()
  return full
}

async function produce (topic, n, partitions = 4) {
  const producer = new Kafka.Producer({ 'metadata.broker.list': boot })
  await wait(done => producer.connect({}, done))
  for (const i of numbers(n)) producer.produce(topic, i % partitions, Buffer.from(String(i)))
  await wait(done => producer.flush(10000, done))
  await wait(done => producer.disconnect(done))
}

async function member (group, topics, conf = {}) {
  const consumer = new Kafka.KafkaConsumer({ 'metadata.broker.list': boot, 'group.id': group, 'enable.auto.commit': false, 'session.timeout.ms': 6000, 'heartbeat.interval.ms': 300, 'topic.metadata.refresh.interval.ms': 500, ...conf },
    { 'auto.offset.reset': 'earliest' })
  const m = { consumer, values: [], closed: false }
  m.owned = () => m.closed ? [] : consumer.assignments().map(p => p.topic + '/' + p.partition)
  consumer.setDefaultConsumeTimeout(100)
  await wait(done => consumer.connect({}, done))
  consumer.subscribe(topics)
  const poll = () => m.closed || consumer.consume(100, (e, list) => {
    if (!e) m.values.push(...list.map(x => Number(x.value)))
    setTimeout(poll, 10)
  })
  poll()
  m.close = () => { m.closed = true; return wait(done => consumer.disconnect(done)) }
  return m
}

async function main () {
  const name = await topic('group')
  const group = 'nrg-' + run
  await produce(name, 200)
  await check('members-come-and-leave', async () => {
    const a = await member(group, [name])
    await eventually(() => shared([a], 4) && a.values.length === 200, 'one member')
    same(sorted(a.values), numbers(200))
    const b = await member(group, [name])
    await eventually(() => shared([a, b], 4), 'two members')
    for (const m of [a, b]) m.consumer.commitSync(m.consumer.assignments().map(p => ({ topic: name, partition: p.partition, offset: 50 })))
    await a.close()
    await eventually(() => shared([b], 4), 'one member again')
    b.values = []
    await produce(name, 40)
    await eventually(() => b.values.length >= 40, 'read on')
    same(sorted(b.values), numbers(40))
    await b.close()
  })
  await check('committed-and-seek', async () => {
    const a = await member(group, [name])
    await eventually(() => shared([a], 4) && a.values.length === 40, 'from the commits on')
    const got = await wait(done => a.consumer.committed([{ topic: name, partition: 1 }], 5000, done))
    same(got[0].offset, 50)
    a.values = []
    await wait(done => a.consumer.seek({ topic: name, partition: 2, offset: 58 }, 1000, done))
    await eventually(() => a.values.length >= 2, 'after seek')
    same(a.values, [34, 38])
    await a.close()
  })
  await check('pattern', async () => {
    const first = await topic('re-one', 1)
    const a = await member(group + '-re', [new RegExp(`^nrg-${run}-re-.*`)])
    await eventually(() => a.owned().join() === first + '/0', 'the first')
    const second = await topic('re-two', 1)
    await eventually(() => a.owned().sort().join() === [first + '/0', second + '/0'].join(), 'a new topic that fits')
    await a.close()
  })
  await check('static-member-comes-back', async () => {
    const a = await member(group + '-static', [name], { 'group.instance.id': 'i1' })
    const b = await member(group + '-static', [name], { 'group.instance.id': 'i2' })
    await eventually(() => shared([a, b], 4), 'two members')
    const before = a.owned().sort().join()
    await a.close()
    const again = await member(group + '-static', [name], { 'group.instance.id': 'i1' })
    await eventually(() => again.owned().sort().join() === before, 'the same partitions again')
    await again.close()
    await b.close()
  })
}
setTimeout(() => { console.log('FAIL session: no end after 100 s'); process.exit(1) }, 100000)
main().catch(e => { console.log('FAIL session: ' + e); process.exit(1) }).then(() => process.exit(0))
