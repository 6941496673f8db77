import assert from 'node:assert/strict'
import { test } from 'node:test'
import { type Address, AddressRefused, addressFor, checkAllowed } from './address-guard.ts'

/** A name server that knows one name. */
const knows =
  (...addresses: string[]) =>
  async (): Promise<Address[]> =>
    addresses.map((address) => ({ address, family: address.includes(':') ? 6 : 4 }))

/** How a host is spelled after a URL was parsed: what the hub checks is what it then connects to. */
const hostOf = (url: string): string => new URL(url).hostname

test('public addresses are connected to, by number and by name', async () => {
  assert.equal((await addressFor('93.184.216.34')).address, '93.184.216.34')
  assert.equal((await addressFor('[2606:2800:220:1::1]')).address, '2606:2800:220:1::1')
  assert.deepEqual(await addressFor('hooks.example.com', [], knows('93.184.216.34')), {
    address: '93.184.216.34',
    family: 4,
  })
})

test('what is not public is refused in every spelling', async () => {
  for (const url of [
    'https://127.0.0.1/',
    'https://127.1/',
    'https://2130706433/',
    'https://0x7f000001/',
    'https://0x7f.1/',
    'https://0177.0.0.1/',
    'https://017700000001/',
    'https://127.0.0.1./',
    'https://①②⑦.0.0.1/',
    'https://0/',
    'https://10.1.2.3/',
    'https://172.31.255.255/',
    'https://192.168.0.1/',
    'https://100.64.0.1/',
    'https://169.254.169.254/latest/meta-data/',
    'https://2852039166/',
    'https://224.0.0.1/',
    'https://255.255.255.255/',
    'https://[::1]/',
    'https://[::]/',
    'https://[::ffff:127.0.0.1]/',
    'https://[::ffff:7f00:1]/',
    'https://[0:0:0:0:0:ffff:a9fe:a9fe]/',
    'https://[::ffff:10.0.0.1]/',
    'https://[::127.0.0.1]/',
    'https://[64:ff9b::7f00:1]/',
    'https://[2002:7f00:1::]/',
    'https://[2001:0:4136:e378:8000:63bf:3fff:fdd2]/',
    'https://[fe80::1]/',
    'https://[fd00:ec2::254]/',
    'https://[fc00::1]/',
    'https://[ff02::1]/',
  ]) {
    await assert.rejects(addressFor(hostOf(url)), AddressRefused, url)
  }
  await assert.rejects(addressFor('fe80::1%eth0'), /Cannot connect|resolve|ENOTFOUND/)
})

test('a name is refused where one of its addresses is not public', async () => {
  for (const address of ['127.0.0.1', '::1', '10.0.0.8', '169.254.169.254', '::ffff:10.0.0.8']) {
    const resolve = knows('93.184.216.34', address)
    await assert.rejects(addressFor('hooks.example.com', [], resolve), AddressRefused, address)
  }
  await assert.rejects(addressFor('localhost', []), AddressRefused)
  await assert.rejects(addressFor('LOCALHOST.', []), AddressRefused)
  await assert.rejects(addressFor('nothing', [], knows()), /has no address/)
})

test('an admin lists addresses, ranges and names; no name reaches where clouds keep credentials', async () => {
  assert.equal((await addressFor('10.1.2.3', ['10.1.0.0/16'])).address, '10.1.2.3')
  await assert.rejects(addressFor('10.2.2.3', ['10.1.0.0/16']), AddressRefused)
  assert.equal((await addressFor('::1', ['::1'])).address, '::1')
  assert.ok(await addressFor('127.0.0.1', ['127.0.0.1']))
  assert.ok(await addressFor('broker.lan', ['broker.lan'], knows('192.168.0.7')))
  await assert.rejects(
    addressFor('other.lan', ['broker.lan'], knows('192.168.0.7')),
    AddressRefused,
  )
  for (const address of ['169.254.169.254', 'fd00:ec2::254', 'fe80::1', '224.0.0.1']) {
    await assert.rejects(addressFor('x.lan', ['x.lan'], knows(address)), AddressRefused, address)
    assert.ok(await addressFor('x.lan', [address], knows(address)), address)
  }
})

test('what can be listed is an address, a range or a name', () => {
  checkAllowed(['10.0.0.0/8', '::1', 'broker.lan', 'fd00::/8', '192.168.0.7'])
  for (const word of [
    '10.0.0.0/33',
    '10.0.0.0/8/8',
    'https://x',
    'a b',
    '*',
    '::/129',
    '10.0.0.0/x',
  ]) {
    assert.throws(() => checkAllowed([word]), /Cannot allow/, word)
  }
})
