import assert from 'node:assert/strict'
import { once } from 'node:events'
import { duplexPair } from 'node:stream'
import { test } from 'node:test'
import fc from 'fast-check'
import { connectBytesMax, PacketGuard, PacketSizes } from './packet-guard.ts'

const packetBytesMax = 10_000
const connect = packet(0x10, 30)

test('PacketSizes.inspect() lets packets through however they are cut', () => {
  const lengths = fc.array(fc.integer({ min: 0, max: packetBytesMax }), { maxLength: 6 })
  fc.assert(
    fc.property(lengths, fc.array(fc.integer({ min: 1, max: 3000 })), (sizes, cuts) => {
      const guard = new PacketSizes(packetBytesMax)
      guard.inspect(connect)
      guard.accept()
      const bytes = Buffer.concat(sizes.map((size) => packet(0x32, size)))
      let offset = 0
      for (const cut of [...cuts, bytes.length]) {
        guard.inspect(bytes.subarray(offset, offset + cut))
        offset += cut
      }
    }),
  )
})

test('PacketSizes.inspect() refuses a packet by its header, before its bytes have come', () => {
  const guard = new PacketSizes(packetBytesMax)
  guard.inspect(connect)
  guard.accept()
  const header = packet(0x32, packetBytesMax + 1).subarray(0, 3)
  assert.throws(() => guard.inspect(header), /a packet of 10001 bytes, allowed 10000/)
})

test('PacketSizes.inspect() allows little before the client was let in', () => {
  const large = packet(0x10, connectBytesMax + 1)
  assert.throws(() => new PacketSizes(packetBytesMax).inspect(large), /4097 bytes, allowed 4096/)
  const guard = new PacketSizes(packetBytesMax)
  guard.inspect(connect)
  assert.throws(() => guard.inspect(packet(0x32, connectBytesMax + 1)), /allowed 4096/)
})

test('PacketSizes.inspect() refuses a first packet that is no CONNECT, and endless lengths', () => {
  const http = Buffer.from('GET / HTTP/1.1\r\n')
  assert.throws(() => new PacketSizes(packetBytesMax).inspect(http), /expected CONNECT/)
  const endless = Buffer.from([0x10, 0xff, 0xff, 0xff, 0xff])
  assert.throws(() => new PacketSizes(packetBytesMax).inspect(endless), /more than 4 bytes/)
})

test('PacketGuard passes bytes both ways and cuts the connection on a refused packet', async () => {
  const [near, far] = duplexPair()
  const guard = new PacketGuard(far, packetBytesMax)
  guard.on('error', () => {})
  near.on('error', () => {})
  near.write(connect)
  const [first] = await once(guard, 'data')
  assert.deepEqual(first, connect)
  guard.write('connack')
  assert.equal(String((await once(near, 'data'))[0]), 'connack')
  near.write(packet(0x32, packetBytesMax + 1).subarray(0, 4))
  const [error] = await once(guard, 'error')
  assert.match(String(error), /allowed 4096/)
  assert.ok(far.destroyed)
})

test('PacketGuard stops reading from its socket when nobody reads from it', async () => {
  const [near, far] = duplexPair()
  const guard = new PacketGuard(far, packetBytesMax)
  guard.accept()
  near.write(connect)
  for (let i = 0; i < 200; i++) near.write(packet(0x32, 9000))
  await new Promise((resolve) => setTimeout(resolve, 20))
  const held = guard.readableLength + far.readableLength
  assert.ok(held < 300_000, `${held} bytes of 1.8 MB are held`)
})

/** An MQTT packet with a remaining length of `length` (MQTT 3.1.1 §2.2.3). */
function packet(type: number, length: number): Buffer {
  const head = [type]
  let left = length
  do {
    head.push((left & 0x7f) | (left > 127 ? 0x80 : 0))
    left >>= 7
  } while (left > 0)
  return Buffer.concat([Buffer.from(head), Buffer.alloc(length)])
}
