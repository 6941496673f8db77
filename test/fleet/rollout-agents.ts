/** Simulated boxes of the rollout bench, many in one process, behind a network that cuts transfers. */

import type { Identity } from '../../edge-agent/src/identity/identity.ts'
import { type CuttingProxy, openCuttingProxy } from './cutting-proxy.ts'
import { randomOf } from './random.ts'
import type { Conduct } from './scripted-host.ts'
import { SimulatedBox } from './simulated-box.ts'

export type BoxesOrder =
  | {
      readonly kind: 'start'
      readonly identities: readonly Identity[]
      readonly own: { readonly name: string; readonly digest: string; readonly bytes: Uint8Array }
      readonly targets: readonly string[]
      /** How a version does; those that are not named do well. */
      readonly conducts: Readonly<Record<number, Conduct>>
      readonly lossShare: number
      readonly cutShare: number
      /** Length of what is fetched, which is cut somewhere. */
      readonly transferBytes: number
      readonly beatMs: number
      readonly seed: number
    }
  | { readonly kind: 'figures' }

export type BoxesAnswer = {
  readonly boxes: number
  /** Bytes of artifacts that came to boxes, whatever became of them, by what they say. */
  readonly fromHub: number
  /** Everything that came to them by HTTPS. */
  readonly wireBytes: number
  readonly cuts: number
  readonly messages: number
  readonly messagesLost: number
  readonly connections: number
  /** Boxes whose frames go to each digest. */
  readonly running: Readonly<Record<string, number>>
}

const boxes: SimulatedBox[] = []
let proxy: CuttingProxy | undefined
let name = ''

process.on('message', (order: BoxesOrder) => {
  void (order.kind === 'start' ? start(order) : tell())
})
process.once('disconnect', () => process.exit(0))

async function start(order: Extract<BoxesOrder, { kind: 'start' }>): Promise<void> {
  const { identities, own, targets, conducts, cutShare, transferBytes } = order
  const { lossShare, beatMs } = order
  const random = randomOf(order.seed)
  const [first] = identities
  const targetPort = Number(new URL(first?.deviceUrl ?? '').port)
  proxy = await openCuttingProxy({ targetPort, cutShare, transferBytes, random })
  name = own.name
  for (const one of identities) {
    const deviceUrl = `https://localhost:${proxy.port}`
    const box = new SimulatedBox({
      identity: { ...one, deviceUrl },
      own,
      targets,
      lossShare,
      beatMs,
      random,
      conductOf: (version) => conducts[version] ?? 'good',
    })
    boxes.push(box)
    box.start()
  }
}

function tell(): void {
  const sum = (of: (box: SimulatedBox) => number) => boxes.reduce((all, box) => all + of(box), 0)
  const running: Record<string, number> = {}
  for (const box of boxes) {
    const digest = box.updates.running.find((one) => one.name === name)?.digest ?? ''
    running[digest] = (running[digest] ?? 0) + 1
  }
  process.send?.({
    boxes: boxes.length,
    fromHub: sum(({ updates }) =>
      updates.updates.reduce((all, { bytes }) => all + bytes.fromHub, 0),
    ),
    wireBytes: proxy?.bytesToBoxes ?? 0,
    cuts: proxy?.cuts ?? 0,
    messages: sum(({ figures }) => figures.messages),
    messagesLost: sum(({ figures }) => figures.messagesLost),
    connections: sum(({ figures }) => figures.connections),
    running,
  } satisfies BoxesAnswer)
}
