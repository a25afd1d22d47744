// Checks of a session: each prints one line that the lane reads.
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
  if (JSON.stringify(got) !== JSON.stringify(want)) throw new Error(JSON.stringify(got) + ' is not ' + JSON.stringify(want))
}

async function eventually (test, what, seconds = 30) {
  for (const end = Date.now() + seconds * 1000; !(await test());) {
    if (Date.now() > end) throw new Error(what)
    await new Promise(resolve => setTimeout(resolve, 50))
  }
}

const numbers = n => [...Array(n).keys()]
const sorted = list => [...list].sort((a, b) => a - b)

// members have owned(): [partition, …]; every partition has one owner and every member some.
function shared (members, count) {
  const all = members.flatMap(m => m.owned())
  return members.every(m => m.owned().length > 0) && all.length === count && new Set(all).size === count
}

module.exports = { check, same, eventually, numbers, sorted, shared }
