/**
 * Under which addresses a camera sends its streams, asked of the camera itself (ONVIF Profile S). A camera
 * may name any address; one on another host is not believed unless the person says so.
 */
import { hideSecret } from '@edgeloop/protocol'
import { Agent } from 'undici'
import { ask, type SoapClient } from './soap.ts'
import { at, each, escapeXml, textOf } from './xml.ts'

/** Most profiles that are asked about. */
const profilesMax = 16
const device = 'http://www.onvif.org/ver10/device/wsdl'
const media = 'http://www.onvif.org/ver10/media/wsdl'
const schema = 'http://www.onvif.org/ver10/schema'

export type OnvifProfile = {
  readonly name: string
  /** Address of its stream, without user and password. */
  readonly source: string
  /** As the camera says; undefined where it does not. */
  readonly codec: string | undefined
  readonly width: number | undefined
  readonly height: number | undefined
  readonly fps: number | undefined
}

export type OnvifCamera = {
  readonly manufacturer: string
  readonly model: string
  /** The largest picture first. */
  readonly profiles: readonly OnvifProfile[]
}

export type DescribeOptions = {
  /** Address of the device service, with user and password where it has them. */
  readonly url: string
  /** Hosts beside the camera's own that its addresses may name. */
  readonly allowHosts: readonly string[]
  readonly timeoutMs: number
  readonly signal: AbortSignal
  /** Ms since the epoch. */
  readonly now: () => number
}

/**
 * What a camera is and sends.
 * @throws {Error} saying which camera, why and what to do
 */
export async function describeCamera(options: DescribeOptions): Promise<OnvifCamera> {
  const { timeoutMs, allowHosts, now } = options
  const shown = `"${hideSecret(options.url)}"`
  const { url, user } = addressOf(options.url, shown)
  await using dispatcher = new OwnAgent(timeoutMs)
  const signal = AbortSignal.any([options.signal, AbortSignal.timeout(timeoutMs)])
  const isOwn = ({ hostname }: URL) => hostname === url.hostname || allowHosts.includes(hostname)
  const own = (what: string, text: string): URL => {
    const named = URL.canParse(text) ? new URL(text) : undefined
    if (named === undefined) throw new Error(`it names no address of its ${what}`)
    if (isOwn(named)) return named
    throw new Error(
      `it says that its ${what} is on another host, "${named.hostname}"; if that is meant, allow it with --allow-host ${named.hostname}`,
    )
  }
  try {
    const stranger: SoapClient = { dispatcher, user: undefined, now, signal }
    const clock = await clockOf(stranger, url)
    const offsetMs = clock === undefined ? 0 : clock - now()
    const client: SoapClient = { ...stranger, user, now: () => now() + offsetMs }
    const who = await ask(client, url, `<GetDeviceInformation xmlns="${device}"/>`)
    const can = await ask(
      client,
      url,
      `<GetCapabilities xmlns="${device}"><Category>Media</Category></GetCapabilities>`,
    )
    const found = at(can, 'GetCapabilitiesResponse', 'Capabilities', 'Media', 'XAddr')
    const mediaUrl = own('media service', textOf(found))
    const listed = await ask(client, mediaUrl, `<GetProfiles xmlns="${media}"/>`)
    const profiles: OnvifProfile[] = []
    for (const profile of each(at(listed, 'GetProfilesResponse', 'Profiles'), profilesMax)) {
      const token = textOf(at(profile, '@token'), 200)
      const answer = await ask(client, mediaUrl, streamQuestion(token))
      const uri = textOf(at(answer, 'GetStreamUriResponse', 'MediaUri', 'Uri'))
      const source = own(`stream "${token}"`, uri)
      if (!/^(rtsps?|https?):$/.test(source.protocol)) {
        throw new Error(`it offers a stream by "${source.protocol}", which is not supported`)
      }
      source.username = ''
      source.password = ''
      profiles.push({
        ...sizeOf(profile),
        name: textOf(at(profile, 'Name'), 100) || token,
        source: source.href,
      })
    }
    const area = ({ width = 0, height = 0 }: OnvifProfile) => width * height
    return {
      manufacturer: textOf(at(who, 'GetDeviceInformationResponse', 'Manufacturer'), 100),
      model: textOf(at(who, 'GetDeviceInformationResponse', 'Model'), 100),
      profiles: profiles.toSorted((a, b) => area(b) - area(a)),
    }
  } catch (cause) {
    options.signal.throwIfAborted()
    const why = signal.aborted ? `no answer within ${timeoutMs} ms` : reasonOf(cause as Error)
    throw new Error(`Cannot ask camera ${shown}: ${why}`, { cause })
  }
}

/** undici's agent, destroyed rather than closed: nothing waits for a camera that does not answer. */
class OwnAgent extends Agent implements AsyncDisposable {
  constructor(timeoutMs: number) {
    super({
      connections: 1,
      headersTimeout: timeoutMs,
      bodyTimeout: timeoutMs,
      connect: { timeout: timeoutMs },
      maxHeaderSize: 16 << 10,
    })
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.destroy()
  }
}

function addressOf(text: string, shown: string) {
  const url = URL.canParse(text) ? new URL(text) : undefined
  if (url === undefined || !/^https?:$/.test(url.protocol)) {
    throw new Error(
      `Cannot ask camera ${shown}: not an address; write http://USER:PASSWORD@HOST/onvif/device_service`,
    )
  }
  const { username, password } = url
  url.username = ''
  url.password = ''
  if (url.pathname === '/') url.pathname = '/onvif/device_service'
  const user =
    username === ''
      ? undefined
      : { user: decodeURIComponent(username), password: decodeURIComponent(password) }
  return { url, user }
}

/** The camera's clock; cameras answer this without a login. */
async function clockOf(client: SoapClient, url: URL): Promise<number | undefined> {
  const answer = await ask(client, url, `<GetSystemDateAndTime xmlns="${device}"/>`).catch(
    (error: Error & { code?: string }) => {
      // Whoever refuses this one may still answer the others; who cannot be reached, cannot.
      if (error.code !== undefined || client.signal.aborted) throw error
    },
  )
  const utc = at(answer, 'GetSystemDateAndTimeResponse', 'SystemDateAndTime', 'UTCDateTime')
  const number = (...names: string[]) => Number(textOf(at(utc, ...names)) || Number.NaN)
  const time = Date.UTC(
    ...([number('Date', 'Year'), number('Date', 'Month') - 1, number('Date', 'Day')] as const),
    ...([number('Time', 'Hour'), number('Time', 'Minute'), number('Time', 'Second')] as const),
  )
  return Number.isFinite(time) ? time : undefined
}

const streamQuestion = (token: string): string =>
  [
    `<GetStreamUri xmlns="${media}"><StreamSetup>`,
    `<Stream xmlns="${schema}">RTP-Unicast</Stream>`,
    `<Transport xmlns="${schema}"><Protocol>RTSP</Protocol></Transport>`,
    `</StreamSetup><ProfileToken>${escapeXml(token)}</ProfileToken></GetStreamUri>`,
  ].join('')

function sizeOf(profile: unknown): Pick<OnvifProfile, 'codec' | 'width' | 'height' | 'fps'> {
  const encoder = at(profile, 'VideoEncoderConfiguration')
  const number = (...names: string[]): number | undefined => {
    const value = Number(textOf(at(encoder, ...names), 20) || Number.NaN)
    return Number.isFinite(value) && value > 0 ? value : undefined
  }
  return {
    codec: textOf(at(encoder, 'Encoding'), 20) || undefined,
    width: number('Resolution', 'Width'),
    height: number('Resolution', 'Height'),
    fps: number('RateControl', 'FrameRateLimit'),
  }
}

function reasonOf(error: Error & { code?: string }): string {
  const { code = '' } = error
  if (/^(ECONNREFUSED|ENOTFOUND|EAI_AGAIN|EHOSTUNREACH|ENETUNREACH|ETIMEDOUT)$/.test(code)) {
    return 'nobody answers there; check address and port, and that ONVIF is switched on in the camera'
  }
  if (/CERT|SELF_SIGNED|UNABLE_TO|ALTNAME/.test(code)) {
    return 'its certificate is not trusted here; start with NODE_EXTRA_CA_CERTS=FILE that holds it'
  }
  return code === '' ? error.message : `it hangs up, or does not speak HTTP (${code})`
}
