import assert from 'node:assert/strict'
import { test } from 'node:test'
import { openPasswords } from './password.ts'

test('a password is kept as scrypt with its parameters and a salt of its own', async () => {
  const passwords = openPasswords()
  const kept = await passwords.hash('correct horse battery')
  assert.match(kept, /^scrypt\$ln=15,r=8,p=3\$[\w+/=]{24}\$[\w+/=]{44}$/)
  assert.notEqual(await passwords.hash('correct horse battery'), kept)
  assert.equal(await passwords.verify('correct horse battery', kept), true)
  assert.equal(await passwords.verify('correct horse batterz', kept), false)
  assert.equal(await passwords.verify('', kept), false)
})

test('verify() reads the parameters from what was kept, and any way of typing the same text', async () => {
  const passwords = openPasswords()
  // Made with weaker parameters: scrypt('café à la crème', salt, 32, { N: 2 ** 4, r: 1, p: 1 }).
  const { scryptSync } = await import('node:crypto')
  const salt = Buffer.alloc(16, 7)
  const text = 'café à la crème'
  const hash = scryptSync(text.normalize('NFKC'), salt, 32, { N: 16, r: 1, p: 1 })
  const kept = `scrypt$ln=4,r=1,p=1$${salt.toString('base64')}$${hash.toString('base64')}`
  assert.equal(await passwords.verify(text.normalize('NFD'), kept), true)
  assert.equal(await passwords.verify(text.normalize('NFC'), kept), true)
  await assert.rejects(passwords.verify(text, 'md5$abc'), /it is no scrypt/)
})

test('a user who does not exist costs the same work as one who does', async () => {
  const passwords = openPasswords()
  const kept = await passwords.hash('correct horse battery')
  const cpuMs = async (work: () => Promise<unknown>): Promise<number> => {
    const before = process.cpuUsage()
    await work()
    const { user, system } = process.cpuUsage(before)
    return (user + system) / 1000
  }
  const known: number[] = []
  const unknown: number[] = []
  // In turns, and the least of each: the machine does other things too.
  for (let n = 0; n < 5; n++) {
    known.push(await cpuMs(() => passwords.verify('a wrong password', kept)))
    unknown.push(await cpuMs(() => passwords.verify('a wrong password', null)))
  }
  const [fast, slow] = [Math.min(...known), Math.min(...unknown)].sort((a, b) => a - b)
  assert.ok(fast !== undefined && slow !== undefined && slow / fast < 1.5, `${known} ${unknown}`)
})

test('only so many wait for their turn; the next is told to come back', async () => {
  const passwords = openPasswords()
  const all = await Promise.allSettled(
    Array.from({ length: 34 }, () => passwords.verify('x', 'scrypt$ln=1,r=1,p=1$AA==$AA==')),
  )
  const refused = all.filter(
    (one) => one.status === 'rejected' && /too many wait/.test(String(one.reason)),
  )
  assert.equal(refused.length, 2)
})
