/** Who takes the steps instead of us, as the command line says it. */
import type { Trainer } from '@edgeloop/model-compiler/train'
import { UsageFailure } from '../failure.ts'
import { splitCommand } from './split-command.ts'

/**
 * @param text `external:COMMAND` or `kubernetes:IMAGE?claim=…`
 * @param flag where it stands, for the hint
 * @throws {UsageFailure | TrainError} where it is neither
 */
export async function externalTrainerOf(text: string, flag: string): Promise<Trainer> {
  const [, kind, rest = ''] = /^(external|kubernetes):(.*)$/s.exec(text) ?? []
  if (kind === 'kubernetes') {
    const { jobWishOf } = await import('@edgeloop/model-compiler/train')
    return { kind: 'job', ...jobWishOf(rest) }
  }
  const command = kind === 'external' ? splitCommand(rest) : []
  if (command.length > 0) return { kind: 'command', command }
  throw new UsageFailure(
    `Cannot train by "${text}": it is no external:COMMAND and no kubernetes:IMAGE`,
    `for example ${flag} "external:python3 train.py"; docs/external-trainer.md says what it has to do`,
  )
}
