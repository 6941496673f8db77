import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { multipartPictures } from './multipart-pictures.ts'

const type = 'multipart/x-mixed-replace; boundary=frame'

/** What comes out when `bytes` arrive in pieces of these sizes. */
function cut(contentType: string, bytes: Buffer, sizes: readonly number[] = [], max = 10_000) {
  const pictures: string[] = []
  const parts = multipartPictures(contentType, max, (picture) =>
    pictures.push(Buffer.from(picture).toString('latin1')),
  )
  for (let from = 0, n = 0; from < bytes.length; n++) {
    const size = sizes[n % sizes.length] ?? bytes.length
    parts?.push(bytes.subarray(from, from + size))
    from += size
  }
  return pictures
}

test('multipartPictures() gives the same pictures however their bytes arrive', () => {
  const picture = fc
    .uint8Array({ minLength: 1, maxLength: 300 })
    .map((bytes) => Buffer.from(bytes).toString('latin1'))
    .filter((text) => !text.includes('--frame') && !/[\r\n-]$/.test(text))
  const seed = Date.now()
  fc.assert(
    fc.property(
      fc.array(picture, { minLength: 1, maxLength: 5 }),
      fc.array(fc.integer({ min: 1, max: 70 }), { minLength: 1, maxLength: 8 }),
      fc.boolean(),
      fc.constantFrom('\r\n', '\n'),
      (pictures, sizes, hasLength, end) => {
        const parts = pictures.map((one) => {
          const length = hasLength ? `Content-Length: ${one.length}${end}` : ''
          return `--frame${end}Content-Type: image/jpeg${end}${length}${end}${one}${end}`
        })
        const bytes = Buffer.from(`${parts.join('')}--frame--`, 'latin1')
        assert.deepEqual(cut(type, bytes, sizes), pictures)
      },
    ),
    { seed, numRuns: 300 },
  )
})

test('multipartPictures() hands a JPEG on before the next delimiter has come', () => {
  const jpeg = '\xff\xd8picture\xff\xd9'
  const head = `--frame\r\nContent-Length: ${jpeg.length}\r\n\r\n`
  assert.deepEqual(cut(type, Buffer.from(head + jpeg, 'latin1')), [jpeg])
})

test('multipartPictures() does not believe a length that lies', () => {
  const part = (length: number, body: string) =>
    `--frame\r\nContent-Length: ${length}\r\n\r\n${body}\r\n`
  const bytes = `${part(3, 'first')}${part(9, 'second')}${part(5, 'third')}--frame`
  assert.deepEqual(cut(type, Buffer.from(bytes)), ['first', 'second', 'third'])
})

test('multipartPictures() refuses parts and headings that are too large, said or sent', () => {
  const refused: [bytes: string, text: RegExp][] = [
    ['--frame\r\nContent-Length: 10001\r\n\r\n', /10001 bytes is larger/],
    [`--frame\r\n\r\n${'x'.repeat(10_100)}`, /is larger/],
    [`--frame\r\n${'X: y\r\n'.repeat(2000)}`, /heading is longer than 8192 bytes/],
  ]
  for (const [bytes, text] of refused) {
    assert.throws(
      () => cut(type, Buffer.from(bytes), [100]),
      (error: unknown) => {
        assert.ok(error instanceof RangeError)
        assert.match(error.message, text)
        return true
      },
    )
  }
})

test('multipartPictures() knows what is no multipart, or names no boundary', () => {
  for (const other of ['image/jpeg', 'multipart/x-mixed-replace', '', 'text/html; boundary=a']) {
    assert.equal(
      multipartPictures(other, 10, () => {}),
      undefined,
      other,
    )
  }
})
