// @platformatic/kafka: admin and produce with its default settings. Prints PASS or FAIL lines.
// The client wants Node 22; on Node 20 this is the one thing that it misses.
Promise.withResolvers ??= function () {
  let resolve, reject
  const promise = new Promise((a, b) => { resolve = a; reject = b })
  return { promise, resolve, reject }
}

const { Admin, Producer, stringSerializers, ProduceAcks } = require('@platformatic/kafka')

const topic = 'pk-' + Math.random().toString(36).slice(2, 10)
const base = { clientId: 'lane', bootstrapBrokers: [process.argv[2]] }

async function check (name, f) {
  try {
    await f()
    console.log('PASS ' + name)
  } catch (e) {
    const cause = e && e.errors ? e.errors.map(x => x.message).join('; ') : ''
    console.log('FAIL ' + name + ': ' + (String(e && e.message) + ' ' + cause).slice(0, 300).replace(/\n/g, ' '))
  }
}
function same (got, want) {
  if (String(got) !== String(want)) throw new Error(got + ' is not ' + want)
}

async function main () {
  const admin = new Admin(base)
  await check('create-topic', async () => { await admin.createTopics({ topics: [topic], partitions: 1, replicas: 1 }) })
  const messages = [...Array(50).keys()].map(i => ({ topic, key: 'k' + i, value: 'v' + i, headers: { h: 'x' } }))
  const producer = new Producer({ ...base, serializers: stringSerializers })
  await check('produce-defaults', async () => {
    const answer = await producer.send({ messages })
    same(answer.offsets[0].offset, 0)
  })
  if (!require('node:zlib').zstdCompressSync) console.log('SKIP produce-zstd: this Node has no zstd')
  const codecs = ['gzip', 'snappy', 'lz4'].concat(require('node:zlib').zstdCompressSync ? ['zstd'] : [])
  for (const compression of codecs) {
    await check('produce-' + compression, async () => {
      const answer = await producer.send({ messages, compression })
      same(answer.offsets.length, 1)
    })
  }
  await check('produce-acks-1', async () => { await producer.send({ messages, acks: ProduceAcks.LEADER }) })
  await producer.close()
  await check('metadata', async () => {
    const meta = await admin.metadata({ topics: [topic] })
    same(meta.topics.get(topic).partitionsCount, 1)
  })
  await check('delete-topic', async () => { await admin.deleteTopics({ topics: [topic] }) })
  await admin.close()
}
main().catch(e => { console.log('FAIL session: ' + e); process.exit(1) }).then(() => process.exit(0))
