// kafkajs: admin and produce with its default settings. Prints PASS or FAIL lines.
const { Kafka, CompressionTypes, logLevel } = require('kafkajs')

const topic = 'kjs-' + Math.random().toString(36).slice(2, 10)
const kafka = new Kafka({ clientId: 'lane', brokers: [process.argv[2]], logLevel: logLevel.NOTHING })

async function check (name, f) {
  try {
    await f()
    console.log('PASS ' + name)
  } catch (e) {
    console.log('FAIL ' + name + ': ' + String(e && e.message).slice(0, 300).replace(/\n/g, ' '))
  }
}
function same (got, want) {
  if (JSON.stringify(got) !== JSON.stringify(want)) throw new Error(JSON.stringify(got) + ' is not ' + JSON.stringify(want))
}

async function main () {
  const admin = kafka.admin()
  await admin.connect()
  await check('create-topic', async () => {
    same(await admin.createTopics({ topics: [{ topic, numPartitions: 2 }], waitForLeaders: true }), true)
    same(await admin.createTopics({ topics: [{ topic, numPartitions: 2 }] }), false)
  })
  const messages = [...Array(100).keys()].map(i => ({ key: 'k' + i, value: 'v' + i, partition: 0, headers: { h: 'x' } }))
  const producer = kafka.producer()
  await producer.connect()
  await check('produce-defaults', async () => {
    const answer = await producer.send({ topic, messages })
    same([answer[0].errorCode, answer[0].baseOffset], [0, '0'])
  })
  await check('produce-gzip', async () => {
    const answer = await producer.send({ topic, messages, compression: CompressionTypes.GZIP })
    same([answer[0].errorCode, answer[0].baseOffset], [0, '100'])
  })
  await producer.disconnect()
  const idempotent = kafka.producer({ idempotent: true, maxInFlightRequests: 1 })
  await idempotent.connect()
  await check('produce-idempotent', async () => {
    for (let i = 0; i < 5; i++) {
      const answer = await idempotent.send({ topic, messages })
      same([answer[0].errorCode, answer[0].baseOffset], [0, String(200 + 100 * i)])
    }
  })
  await idempotent.disconnect()
  await check('offsets', async () => {
    const got = (await admin.fetchTopicOffsets(topic)).find(p => p.partition === 0)
    same([got.low, got.high], ['0', '700'])
    const at = (await admin.fetchTopicOffsetsByTimestamp(topic, 1)).find(p => p.partition === 0)
    same(at.offset, '0')
  })
  await check('admin', async () => {
    await admin.createPartitions({ topicPartitions: [{ topic, count: 4 }] })
    const meta = await admin.fetchTopicMetadata({ topics: [topic] })
    same(meta.topics[0].partitions.length, 4)
    same((await admin.describeCluster()).brokers.length, 1)
    await admin.deleteTopics({ topics: [topic] })
  })
  await admin.disconnect()
}
main().catch(e => { console.log('FAIL session: ' + e); process.exit(1) })
