/** Progress of long work on standard error: one line that changes, a line per step, or JSON for programs. */
import type { OrderProgress } from './compile-order.ts'

export type ProgressForm = 'auto' | 'json' | 'none'

const words: Readonly<Record<OrderProgress['step'], string>> = {
  read: 'reading',
  calibrate: 'calibrating',
  make: 'making',
  search: 'searching what stays float in',
  evaluate: 'evaluating',
  measure: 'timing',
  write: 'writing',
}

/** What is being done, in words: `evaluating int8`. */
export const doing = (progress: OrderProgress | undefined): string =>
  progress === undefined
    ? 'starting'
    : [words[progress.step], progress.candidate].filter((word) => word !== undefined).join(' ')

/** @returns the listener, and what ends the line that it may have left open */
export function progressTeller(
  form: ProgressForm,
  out: Pick<NodeJS.WriteStream, 'write' | 'isTTY' | 'columns'> = process.stderr,
): { tell(progress: OrderProgress): void; end(): void } {
  let before = ''
  let open = false
  return {
    tell(progress) {
      if (form === 'none') return
      if (form === 'json') {
        out.write(`${JSON.stringify({ progress })}\n`)
        return
      }
      const step = doing(progress)
      const percent = `${Math.floor(progress.share * 100)} %`.padStart(5)
      if (out.isTTY) {
        const count = progress.total > 1 ? ` ${progress.done}/${progress.total}` : ''
        const line = `${percent}  ${step}${count}`.slice(0, (out.columns ?? 80) - 1)
        out.write(`\r\u001b[K${line}`)
        open = true
      } else if (step !== before) out.write(`${percent}  ${step}\n`)
      before = step
    },
    end() {
      if (open) out.write('\r\u001b[K')
    },
  }
}
