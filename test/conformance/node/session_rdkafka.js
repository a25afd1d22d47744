// node-rdkafka: produce, and read by assignment. Prints PASS or FAIL lines.
const Kafka = require('node-rdkafka')

const topic = 'nrk-' + Math.random().toString(36).slice(2, 10)
const boot = process.argv[2]
const count = 200

function fail (name, why) { console.log('FAIL ' + name + ': ' + String(why && why.message ? why.message : why).slice(0, 300)) }
setTimeout(() => { fail('session', 'no end after 60 s'); process.exit(1) }, 60000)

const producer = new Kafka.Producer({ 'metadata.broker.list': boot, dr_cb: true, 'enable.idempotence': true })
let reports = 0
producer.on('event.error', e => fail('producer', e))
producer.on('delivery-report', (err, report) => {
  if (err) { fail('produce', err); process.exit(1) }
  if (++reports === count) {
    console.log('PASS produce')
    producer.disconnect(() => consume())
  }
})
producer.setPollInterval(20)
producer.connect({}, err => {
  if (err) { fail('connect', err); process.exit(1) }
  const admin = Kafka.AdminClient.create({ 'metadata.broker.list': boot })
  admin.createTopic({ topic, num_partitions: 1, replication_factor: 1 }, err => {
    if (err) fail('create-topic', err)
    else console.log('PASS create-topic')
    admin.disconnect()
    for (let i = 0; i < count; i++) producer.produce(topic, 0, Buffer.from('v' + i), 'k' + i)
  })
})

function consume () {
  const consumer = new Kafka.KafkaConsumer({ 'metadata.broker.list': boot, 'group.id': 'not-used', 'enable.auto.commit': false }, {})
  const got = []
  consumer.connect({}, err => {
    if (err) { fail('consume', err); process.exit(1) }
    consumer.assign([{ topic, partition: 0, offset: 0 }])
    const poll = () => consumer.consume(100, (err, messages) => {
      if (err) { fail('consume', err); process.exit(1) }
      got.push(...messages.map(m => m.value.toString()))
      if (got.length < count) return setTimeout(poll, 20)
      if (got.every((v, i) => v === 'v' + i)) console.log('PASS read-by-assignment')
      else fail('read-by-assignment', 'wrong order or values')
      consumer.disconnect(() => process.exit(0))
    })
    poll()
  })
}
