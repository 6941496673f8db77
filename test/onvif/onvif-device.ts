/**
 * A camera for tests that speaks as much ONVIF as is asked of it: answers probes by UDP and questions by
 * HTTP, checks logins as cameras do, and misbehaves on request.
 */
import { createHash } from 'node:crypto'
import { createSocket, type Socket } from 'node:dgram'
import { once } from 'node:events'
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'

export type OnvifFaults = {
  /** Host that it names in place of its own, for its media service or its streams. */
  readonly mediaHost?: string
  readonly streamHost?: string
  /** Host in its answer to a probe. */
  readonly probeHost?: string
  /** Its clock is wrong by this much; a login must be newer than 5 s by that clock. */
  readonly clockMs?: number
  /** Answers every question with this. */
  readonly answer?: { readonly status: number; readonly text: string; readonly location?: string }
  /** Never answers. */
  readonly mute?: true
  readonly streamUri?: string
}

export type OnvifDeviceOptions = {
  readonly user: string
  readonly password: string
  readonly faults?: OnvifFaults
}

const loginMaxAgeMs = 5000

export class OnvifDevice implements AsyncDisposable {
  /** Names of the questions it was asked, in order. */
  readonly asked: string[] = []
  /** Everything it was sent. */
  readonly bodies: string[] = []
  readonly #options: OnvifDeviceOptions
  readonly #http: Server
  readonly #udp: Socket
  readonly #nonces = new Set<string>()

  static async open(options: OnvifDeviceOptions): Promise<OnvifDevice> {
    const device = new OnvifDevice(options)
    device.#http.listen(0, '127.0.0.1')
    device.#udp.bind(0, '127.0.0.1')
    await Promise.all([once(device.#http, 'listening'), once(device.#udp, 'listening')])
    return device
  }

  private constructor(options: OnvifDeviceOptions) {
    this.#options = options
    this.#http = createServer((asked, answer) => void this.#answer(asked, answer))
    this.#udp = createSocket('udp4').on('message', (bytes, from) => {
      const id = /<w:MessageID>([^<]+)</.exec(bytes.toString())?.[1] ?? ''
      this.#udp.send(this.#probeMatch(id), from.port, from.address)
    })
  }

  get url(): string {
    return `http://127.0.0.1:${this.#port}/onvif/device_service`
  }

  get probePort(): number {
    return this.#udp.address().port
  }

  withLogin(user = this.#options.user, password = this.#options.password): string {
    const url = new URL(this.url)
    url.username = encodeURIComponent(user)
    url.password = encodeURIComponent(password)
    return url.href
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#udp.close()
    this.#http.closeAllConnections()
    this.#http.close()
    await once(this.#http, 'close')
  }

  get #port(): number {
    return (this.#http.address() as AddressInfo).port
  }

  get #faults(): OnvifFaults {
    return this.#options.faults ?? {}
  }

  async #answer(asked: IncomingMessage, answer: ServerResponse): Promise<void> {
    const parts: Buffer[] = []
    for await (const bytes of asked) parts.push(bytes as Buffer)
    const text = Buffer.concat(parts).toString('utf8')
    this.bodies.push(text)
    const { mute, answer: fixed } = this.#faults
    if (mute === true) return
    if (fixed !== undefined) {
      answer.writeHead(fixed.status, fixed.location ? { location: fixed.location } : {})
      answer.end(fixed.text)
      return
    }
    const question = /<s:Body><(\w+)/.exec(text)?.[1] ?? ''
    this.asked.push(question)
    const isAllowed = question === 'GetSystemDateAndTime' || this.#isUser(text)
    const body = isAllowed ? this.#bodyOf(question, text) : notAuthorized
    answer.writeHead(isAllowed ? 200 : 400, { 'content-type': 'application/soap+xml' })
    answer.end(envelope('', body))
  }

  get #now(): Date {
    return new Date(Date.now() + (this.#faults.clockMs ?? 0))
  }

  /** UsernameToken Profile 1.0: the digest fits, is recent, and was not used before. */
  #isUser(text: string): boolean {
    const { user, password } = this.#options
    const of = (name: string) => new RegExp(`<${name}(?: [^>]*)?>([^<]*)<`).exec(text)?.[1] ?? ''
    const [nonce, created] = [of('Nonce'), of('Created')]
    const ageMs = Math.abs(this.#now.getTime() - Date.parse(created))
    if (of('Username') !== user || !(ageMs < loginMaxAgeMs) || this.#nonces.has(nonce)) return false
    this.#nonces.add(nonce)
    const expected = createHash('sha1')
      .update(Buffer.concat([Buffer.from(nonce, 'base64'), Buffer.from(created + password)]))
      .digest('base64')
    return of('Password') === expected
  }

  #bodyOf(question: string, text: string): string {
    const { mediaHost = '127.0.0.1', streamHost = '127.0.0.1', streamUri } = this.#faults
    switch (question) {
      case 'GetSystemDateAndTime': {
        const now = this.#now
        const time = `<tt:Hour>${now.getUTCHours()}</tt:Hour><tt:Minute>${now.getUTCMinutes()}</tt:Minute><tt:Second>${now.getUTCSeconds()}</tt:Second>`
        const date = `<tt:Year>${now.getUTCFullYear()}</tt:Year><tt:Month>${now.getUTCMonth() + 1}</tt:Month><tt:Day>${now.getUTCDate()}</tt:Day>`
        return `<tds:GetSystemDateAndTimeResponse><tds:SystemDateAndTime><tt:UTCDateTime><tt:Time>${time}</tt:Time><tt:Date>${date}</tt:Date></tt:UTCDateTime></tds:SystemDateAndTime></tds:GetSystemDateAndTimeResponse>`
      }
      case 'GetDeviceInformation':
        return '<tds:GetDeviceInformationResponse><tds:Manufacturer>Test &amp; Sons</tds:Manufacturer><tds:Model>Dome</tds:Model></tds:GetDeviceInformationResponse>'
      case 'GetCapabilities':
        return `<tds:GetCapabilitiesResponse><tds:Capabilities><tt:Media><tt:XAddr>http://${mediaHost}:${this.#port}/onvif/media</tt:XAddr></tt:Media></tds:Capabilities></tds:GetCapabilitiesResponse>`
      case 'GetProfiles': {
        const profile = (token: string, name: string, width: number, height: number) =>
          `<trt:Profiles token="${token}" fixed="true"><tt:Name>${name}</tt:Name><tt:VideoEncoderConfiguration token="e"><tt:Encoding>H264</tt:Encoding><tt:Resolution><tt:Width>${width}</tt:Width><tt:Height>${height}</tt:Height></tt:Resolution><tt:RateControl><tt:FrameRateLimit>25</tt:FrameRateLimit></tt:RateControl></tt:VideoEncoderConfiguration></trt:Profiles>`
        return `<trt:GetProfilesResponse>${profile('sub', 'small', 640, 360)}${profile('main&amp;1', 'large', 2560, 1440)}</trt:GetProfilesResponse>`
      }
      case 'GetStreamUri': {
        const token = /<ProfileToken>([^<]*)</.exec(text)?.[1]
        const path = token === 'main&#38;1' ? 'main?a=1&amp;b=2' : token
        const uri = streamUri ?? `rtsp://admin:leaked@${streamHost}:554/${path}`
        return `<trt:GetStreamUriResponse><trt:MediaUri><tt:Uri>${uri}</tt:Uri></trt:MediaUri></trt:GetStreamUriResponse>`
      }
      default:
        return '<s:Fault><s:Code><s:Value>s:Receiver</s:Value></s:Code><s:Reason><s:Text>Not implemented</s:Text></s:Reason></s:Fault>'
    }
  }

  #probeMatch(relatesTo: string): string {
    const host = this.#faults.probeHost ?? '127.0.0.1'
    const scopes = 'onvif://www.onvif.org/name/Front%20Door onvif://www.onvif.org/hardware/DS-1'
    return envelope(
      `<w:RelatesTo>${relatesTo}</w:RelatesTo>`,
      `<d:ProbeMatches><d:ProbeMatch><d:Scopes>${scopes}</d:Scopes><d:XAddrs>http://[fe80::1]/onvif http://${host}:${this.#port}/onvif/device_service</d:XAddrs></d:ProbeMatch></d:ProbeMatches>`,
    )
  }
}

const notAuthorized =
  '<s:Fault><s:Code><s:Value>s:Sender</s:Value><s:Subcode><s:Value>ter:NotAuthorized</s:Value></s:Subcode></s:Code><s:Reason><s:Text>Sender not Authorized</s:Text></s:Reason></s:Fault>'

const envelope = (header: string, body: string): string =>
  `<?xml version="1.0" encoding="UTF-8"?><s:Envelope xmlns:s="http://www.w3.org/2003/05/soap-envelope" xmlns:tt="http://www.onvif.org/ver10/schema" xmlns:tds="http://www.onvif.org/ver10/device/wsdl" xmlns:trt="http://www.onvif.org/ver10/media/wsdl" xmlns:w="http://schemas.xmlsoap.org/ws/2004/08/addressing" xmlns:d="http://schemas.xmlsoap.org/ws/2005/04/discovery" xmlns:ter="http://www.onvif.org/ver10/error"><s:Header>${header}</s:Header><s:Body>${body}</s:Body></s:Envelope>`
