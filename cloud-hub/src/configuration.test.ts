import assert from 'node:assert/strict'
import { test } from 'node:test'
import { HubConfig, readHubConfig } from './configuration.ts'

test('readHubConfig() fills in what is left out', () => {
  const config = readHubConfig({ browser: { port: 0 } })
  assert.deepEqual(config.browser, { host: '127.0.0.1', port: 0, tlsCert: '', tlsKey: '' })
  assert.equal(config.mqtt.port, 4182)
  assert.equal(config.eventsKeptDays, 365)
})

test('readHubConfig() takes the environment, and what was given before it', () => {
  const env = { EDGELOOP_HUB_BROWSER_PORT: '5000', EDGELOOP_HUB_DATA_DIR: '/data', PATH: '/bin' }
  const config = readHubConfig({ browser: { port: 6000 }, dashboardDir: undefined }, env)
  assert.equal(config.browser.port, 6000)
  assert.equal(config.dataDir, '/data')
  assert.equal(readHubConfig({}, env).browser.port, 5000)
})

test('readHubConfig() names the nearest key, or variable, to an unknown one', () => {
  assert.throws(() => readHubConfig({ datadir: 'x' }), /"datadir"; did you mean "dataDir"/)
  assert.throws(
    () => readHubConfig({ mqtt: { prot: 1 } }),
    /\/mqtt has .*"prot"; did you mean "port"/,
  )
  assert.throws(
    () => readHubConfig({}, { EDGELOOP_HUB_BROWSER_PROT: '1' }),
    /did you mean "EDGELOOP_HUB_BROWSER_PORT"/,
  )
})

test('readHubConfig() refuses values that cannot be, and says which', () => {
  assert.throws(
    () => readHubConfig({ browser: { port: 65_536 } }),
    /\/browser\/port must be <= 65535/,
  )
  assert.throws(() => readHubConfig({ dataDir: '' }), /\/dataDir/)
  assert.throws(() => readHubConfig({ publicHost: 'a b' }), /\/publicHost/)
  assert.throws(() => readHubConfig({}, { EDGELOOP_HUB_MQTT_PORT: 'many' }), /\/mqtt\/port/)
  assert.throws(() => readHubConfig('everything'), /must be object/)
})

test('readHubConfig() listens for other machines only with a name for its certificate, or a given one', () => {
  for (const host of ['0.0.0.0', '192.168.1.7', 'hub.example', '::']) {
    assert.throws(() => readHubConfig({ browser: { host } }), /needs TLS.*--public-host/)
    assert.equal(readHubConfig({ browser: { host }, publicHost: 'hub.example' }).browser.host, host)
    const browser = { host, tlsCert: 'hub.crt', tlsKey: 'hub.key' }
    assert.equal(readHubConfig({ browser }).browser.host, host)
  }
  for (const host of ['127.0.0.1', '127.1.2.3', '::1', 'localhost']) {
    assert.equal(readHubConfig({ browser: { host } }).browser.host, host)
  }
  assert.throws(() => readHubConfig({ browser: { tlsCert: 'a' } }), /--tls-cert alone/)
  assert.throws(() => readHubConfig({ browser: { tlsKey: 'a' } }), /--tls-key alone/)
})

test('every key says what it is', () => {
  type Node = { description?: string; properties?: Record<string, Node> }
  const walk = (node: Node, path: string): void => {
    const children = Object.entries(node.properties ?? {})
    if (children.length === 0) assert.ok(node.description, `${path} has no description`)
    for (const [key, child] of children) walk(child, `${path}/${key}`)
  }
  walk(HubConfig as Node, '')
})

test('readHubConfig() takes an external broker whole, over TLS only, and tells nobody its password', () => {
  const url = 'mqtts://broker.example.org:8884'
  assert.equal(readHubConfig({ broker: { url, files: 'mq' } }).broker.url, url)
  assert.throws(() => readHubConfig({ broker: { url } }), /half of an external broker/)
  assert.throws(() => readHubConfig({ broker: { files: 'mq' } }), /half of an external broker/)
  assert.throws(
    () => readHubConfig({ broker: { url: 'mqtt://hub:secret@broker', files: 'mq' } }),
    (error: Error) => /mqtt:\/\/…/.test(error.message) && !error.message.includes('secret'),
  )
})

test('readHubConfig() takes S3 with the key that tools for S3 are given, and refuses it without', () => {
  const blobs = { url: 's3://pictures?endpoint=https://s3.example.org' }
  const env = { AWS_ACCESS_KEY_ID: '1234', AWS_SECRET_ACCESS_KEY: '5678' }
  assert.deepEqual(readHubConfig({ blobs }, env).blobs, {
    ...blobs,
    accessKeyId: '1234',
    secretAccessKey: '5678',
    sessionToken: '',
  })
  const own = { ...env, EDGELOOP_HUB_BLOBS_ACCESS_KEY_ID: 'ours' }
  assert.equal(readHubConfig({ blobs }, own).blobs.accessKeyId, 'ours')
  assert.throws(() => readHubConfig({ blobs }), /without a key/)
  assert.throws(() => readHubConfig({ blobs: { url: 'http://x' } }, env), /write s3:/)
})
