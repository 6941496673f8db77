import assert from 'node:assert/strict'
import { test } from 'node:test'
import { HttpLogin } from './http-login.ts'

const mufasa = { user: 'Mufasa', password: 'Circle of Life' }
/** RFC 7616 3.9.1. */
const fields = (algorithm: string) =>
  `Digest realm="http-auth@example.org", qop="auth, auth-int", algorithm=${algorithm}, ` +
  'nonce="7ypf/xlj9XXwfDPEoM4URrv/xwf94BcCAzFZH4GiTo0v", ' +
  'opaque="FQhe/qaU925kfnzjCev0ciny7QMkPqMAFRtzCUYo5tdS"'
const response = (header: string | undefined): string | undefined =>
  /response="([^"]+)"/.exec(header ?? '')?.[1]
const login = () => new HttpLogin(mufasa, () => 'f2/wE4q74E6zIJEtWaHKaf5wv/H5QzzpXusqGemxURZJ')

const answers: [algorithm: string, response: string][] = [
  ['MD5', '8ca523f5e9506fed4657c9700eebdbec'],
  ['SHA-256', '753927fa0e85d155564e2e272a28d1802ca10daf4496794697cf8db5856cb6c1'],
]
for (const [algorithm, expected] of answers) {
  test(`HttpLogin answers the example of RFC 7616 with ${algorithm}`, () => {
    const one = login()
    assert.equal(one.header('GET', '/dir/index.html'), undefined)
    assert.ok(one.take([fields(algorithm)]))
    const header = one.header('GET', '/dir/index.html')
    assert.equal(response(header), expected)
    assert.match(header ?? '', /username="Mufasa".*nc=00000001/)
    assert.match(one.header('GET', '/dir/index.html') ?? '', /nc=00000002/)
  })
}

test('HttpLogin takes the strongest scheme it knows, from one header or several', () => {
  const one = login()
  assert.ok(one.take([`Basic realm="a, b", ${fields('MD5')}`, fields('SHA-256')]))
  assert.match(one.header('GET', '/') ?? '', /^Digest .*algorithm=SHA-256/)
  assert.ok(one.take(['Basic realm="camera"']))
  assert.equal(one.header('GET', '/'), 'Basic TXVmYXNhOkNpcmNsZSBvZiBMaWZl')
})

test('HttpLogin answers the older digest without qop (RFC 2069)', () => {
  const one = new HttpLogin({ user: 'Mufasa', password: 'CircleOfLife' })
  const challenge =
    'Digest realm="testrealm@host.com", nonce="dcd98b7102dd2f0e8b11d0f600bfb0c093", opaque="5ccc"'
  assert.ok(one.take([challenge]))
  const header = one.header('GET', '/dir/index.html')
  // The example of RFC 2069 2.4, with the erratum 749.
  assert.equal(response(header), '1949323746fe6a43ef61f9606e7febea')
  assert.doesNotMatch(header ?? '', /qop|cnonce/)
})

test('HttpLogin does not answer what it does not know, and quotes what it is given', () => {
  for (const unknown of ['Negotiate', 'Digest realm="a"', fields('SHA-512-256'), '']) {
    assert.equal(login().take([unknown]), false, unknown)
  }
  const odd = new HttpLogin({ user: 'a"b\\c', password: 'p' })
  assert.ok(odd.take([fields('MD5')]))
  assert.match(odd.header('GET', '/') ?? '', /username="a\\"b\\\\c"/)
})
