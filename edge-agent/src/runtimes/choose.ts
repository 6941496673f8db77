/** Which runtime a wish such as `auto` or `ort:cpu` means. */
import { nearestName } from '@edgeloop/protocol/nearest'
import { ortRuntime } from './ort.ts'
import { ModelError, type Runtime } from './runtime.ts'

const runtimes: readonly Runtime[] = [ortRuntime]

/** @throws {ModelError} naming the nearest runtime there is */
export function chooseRuntime(wish = 'auto'): Runtime {
  const runtime = wish === 'auto' ? runtimes[0] : runtimes.find(({ name }) => name === wish)
  if (runtime) return runtime
  const names = ['auto', ...runtimes.map(({ name }) => name)]
  const near = nearestName(wish, names)
  const hint = near ? `did you mean "${near}"?` : `there are ${names.join(', ')}`
  throw new ModelError(`Cannot use runtime "${wish}": there is no such runtime; ${hint}`)
}
