/** `edgeloop-agent enrol`: buys this box its certificate, and ends. The installer's first step. */
import { mkdir } from 'node:fs/promises'
import { resolve } from 'node:path'
import { Command } from 'commander'
import { Failure, UsageFailure } from '../failure.ts'
import { jsonOption } from '../options.ts'
import { printJson } from '../output.ts'
import { stopSignal } from '../stopping.ts'

type Options = { data: string; hub: string; caFingerprint: string; json?: boolean }

export function enrolCommand(): Command {
  return new Command('enrol')
    .description('buy this box its certificate with the token in EDGELOOP_ENROLMENT_TOKEN')
    .requiredOption('--data <dir>', 'folder where the agent keeps its identity')
    .requiredOption('--hub <url>', 'where the hub takes devices')
    .requiredOption('--ca-fingerprint <sha256>', 'fingerprint of the hub’s authority')
    .addOption(jsonOption())
    .addHelpText(
      'after',
      `
Example:
  $ EDGELOOP_ENROLMENT_TOKEN=… edgeloop-agent enrol --data DIR --hub https://hub:4181 --ca-fingerprint …`,
    )
    .action(enrol)
}

async function enrol(options: Options): Promise<void> {
  const folder = resolve(options.data)
  const token = process.env.EDGELOOP_ENROLMENT_TOKEN
  const door = await import('@edgeloop/edge-agent')
  await mkdir(folder, { recursive: true })
  const isNew = !(await door.isEnrolled(folder))
  if (isNew) {
    if (!token) {
      throw new UsageFailure(
        'Cannot enrol: EDGELOOP_ENROLMENT_TOKEN is not set',
        'make a token at the hub: “Add device”, or `./edgeloop device add NAME`',
      )
    }
    const { hub: deviceUrl, caFingerprint } = options
    try {
      await door.enrol({ deviceUrl, token, caFingerprint, folder, signal: stopSignal() })
    } catch (cause) {
      throw new Failure((cause as Error).message, undefined, { cause })
    }
  }
  const { deviceId, site } = await door.readIdentity(folder)
  if (options.json) printJson({ deviceId, site, isNew })
  else if (isNew) console.log(`This box is device "${deviceId}" of site "${site}" now.`)
  else console.log(`This box stays device "${deviceId}" of site "${site}".`)
}
