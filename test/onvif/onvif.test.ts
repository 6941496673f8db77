/** Cameras are found and asked by real sockets; what they answer is not believed. */
import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { camerasIn, discoverCameras } from '../../edge-agent/src/onvif/discover.ts'
import { describeCamera } from '../../edge-agent/src/onvif/onvif-camera.ts'
import { OnvifDevice, type OnvifFaults } from './onvif-device.ts'

const login = { user: 'admin', password: 'p@ss & <word>' }
const patience = { timeout: 60_000 }
const idle = new AbortController().signal

const describe = (url: string, more = {}) =>
  describeCamera({
    url,
    allowHosts: [],
    timeoutMs: 20_000,
    signal: idle,
    now: Date.now,
    ...more,
  })
const serve = (faults: OnvifFaults = {}) => OnvifDevice.open({ ...login, faults })

test(
  'a camera tells its streams, the largest first, and its login is proved and not sent',
  patience,
  async () => {
    await using device = await serve()
    const camera = await describe(device.withLogin())
    assert.deepEqual(camera, {
      manufacturer: 'Test & Sons',
      model: 'Dome',
      profiles: [
        {
          name: 'large',
          source: 'rtsp://127.0.0.1:554/main?a=1&b=2',
          codec: 'H264',
          width: 2560,
          height: 1440,
          fps: 25,
        },
        {
          name: 'small',
          source: 'rtsp://127.0.0.1:554/sub',
          codec: 'H264',
          width: 640,
          height: 360,
          fps: 25,
        },
      ],
    })
    const sent = device.bodies.join()
    for (const secret of [login.password, 'p@ss', '&lt;word']) assert.ok(!sent.includes(secret))
    assert.ok(!device.bodies[0]!.includes('Username'), 'the clock is asked for without a login')
  },
)

test('a camera whose clock is years off is asked by its own clock', patience, async () => {
  await using device = await serve({ clockMs: -5 * 365 * 86_400_000 })
  assert.equal((await describe(device.withLogin())).profiles.length, 2)
})

test('a wrong password is said, and not told', patience, async () => {
  await using device = await serve()
  for (const url of [device.withLogin('admin', 'secret'), device.url]) {
    await assert.rejects(describe(url), (error: Error) => {
      assert.match(error.message, /^Cannot ask camera ".*it refuses the user or the password/)
      assert.doesNotMatch(error.message, /secret/)
      return true
    })
  }
})

for (const fault of ['mediaHost', 'streamHost'] as const) {
  test(
    `an address on another host is not believed (${fault}), unless it is allowed`,
    patience,
    async () => {
      await using device = await serve({ [fault]: 'localhost' })
      await assert.rejects(
        describe(device.withLogin()),
        /on another host, "localhost"; if that is meant, allow it with --allow-host localhost/,
      )
      if (fault === 'mediaHost') assert.ok(!device.asked.includes('GetProfiles'), 'nor asked')
      const camera = await describe(device.withLogin(), { allowHosts: ['localhost'] })
      assert.equal(camera.profiles.length, 2)
    },
  )
}

for (const streamUri of ['file:///etc/passwd', 'gopher://127.0.0.1/', 'no address', '']) {
  test(`"${streamUri}" is no stream`, patience, async () => {
    await using device = await serve({ streamUri })
    await assert.rejects(describe(device.withLogin()), /no address|another host|not supported/)
  })
}

const entities =
  '<?xml version="1.0"?><!DOCTYPE a [<!ENTITY b "bbbb"><!ENTITY c "&b;&b;">]><s:Envelope xmlns:s="a"><s:Body><x>&c;</x></s:Body></s:Envelope>'
const answers: [what: string, answer: NonNullable<OnvifFaults['answer']>, text: RegExp][] = [
  ['entities', { status: 200, text: entities }, /no SOAP.*document type is not allowed/],
  ['an HTML page', { status: 200, text: '<html><br></html>' }, /no SOAP/],
  ['another XML', { status: 200, text: '<a/>' }, /does not speak ONVIF there/],
  ['nothing', { status: 500, text: '' }, /does not speak ONVIF|no SOAP/],
  ['two megabytes', { status: 200, text: ' '.repeat(2 << 20) }, /longer than 1048576 bytes/],
  ['deep nesting', { status: 200, text: '<a>'.repeat(300_000) }, /no SOAP/],
  [
    'closed deep nesting',
    { status: 200, text: '<a>'.repeat(100_000) + '</a>'.repeat(100_000) },
    /no SOAP|does not speak ONVIF/,
  ],
  [
    'a redirect',
    { status: 302, text: '', location: 'http://localhost/onvif' },
    /another address, which is not followed/,
  ],
]
for (const [what, answer, text] of answers) {
  test(`a camera that answers with ${what} is refused`, patience, async () => {
    await using device = await serve({ answer })
    await assert.rejects(describe(device.withLogin()), text)
  })
}

test('a camera that never answers is given up, and an abort ends the wait', patience, async () => {
  await using device = await serve({ mute: true })
  await assert.rejects(describe(device.withLogin(), { timeoutMs: 500 }), /no answer within 500 ms/)
  const signal = AbortSignal.timeout(200)
  await assert.rejects(describe(device.withLogin(), { signal }), { name: 'TimeoutError' })
})

test('nobody at the address is said as that', patience, async () => {
  const device = await serve()
  const url = device.withLogin()
  await device[Symbol.asyncDispose]()
  await assert.rejects(describe(url), /nobody answers there/)
  await assert.rejects(describe('rtsp://cam/1'), /not an address; write http:/)
})

test('a probe finds who answers from the address that it names', patience, async () => {
  await using honest = await serve()
  await using lying = await serve({ probeHost: '10.0.0.1' })
  const to = [honest, lying].map(({ probePort: port }) => ({ address: '127.0.0.1', port }))
  const cameras = await discoverCameras({ waitMs: 1500, signal: idle, to })
  assert.deepEqual(cameras, [{ url: honest.url, name: 'Front Door', hardware: 'DS-1' }])
  const aborted = AbortSignal.timeout(100)
  await assert.rejects(discoverCameras({ waitMs: 60_000, signal: aborted, to }))
})

test('camerasIn() passes over what is no answer to our question', () => {
  const answer = (id: string) =>
    `<E xmlns="a"><Envelope><Header><RelatesTo>${id}</RelatesTo></Header></Envelope></E>`
  for (const text of ['', 'hello', '<a', entities, answer('urn:uuid:1'), '\u0000'.repeat(60_000)]) {
    assert.deepEqual(camerasIn(Buffer.from(text), 'urn:uuid:1', '127.0.0.1'), [])
  }
})

test('`edgeloop camera onvif` prints what can be given to `stream add`', patience, async () => {
  await using device = await serve()
  const program = fileURLToPath(new URL('../../cli/src/main.ts', import.meta.url))
  const run = promisify(execFile)
  const ask = (...more: string[]) =>
    run(process.execPath, [program, 'camera', 'onvif', device.withLogin(), ...more])
  const { stdout } = await ask('--json')
  const { profiles } = JSON.parse(stdout) as { profiles: { source: string }[] }
  assert.equal(profiles[1]?.source, 'rtsp://127.0.0.1:554/sub')
  const table = await ask()
  assert.match(table.stdout, /large +2560×1440 +25 +H264 +rtsp:/)
  assert.match(table.stderr, /Test & Sons Dome\n.*put yours before the host/)
})
