/** Which runtime a wish such as `auto` or `ort:cpu` means. */
import { nearestName } from '@edgeloop/protocol/nearest'
import { oipRuntime, oipScheme } from './oip.ts'
import { ortRuntimeOn } from './ort.ts'
import { ortProviders } from './providers.ts'
import { ModelError, type Runtime } from './runtime.ts'

const runtimes: readonly Runtime[] = ortProviders.map((provider) => ortRuntimeOn(provider))

/**
 * `auto` is the CPU here: what is faster on this box only a measurement says (`settleRuntime()`).
 * @param token for an Open Inference Protocol server that wants one
 * @throws {ModelError} naming the nearest runtime there is
 */
export function chooseRuntime(wish = 'auto', token = process.env.EDGELOOP_OIP_TOKEN): Runtime {
  if (wish.startsWith(oipScheme)) return oipRuntime(wish, token ? { token } : {})
  const runtime = wish === 'auto' ? runtimes[0] : runtimes.find(({ name }) => name === wish)
  if (runtime) return runtime
  const names = ['auto', ...runtimes.map(({ name }) => name)]
  const near = nearestName(wish, names)
  const hint = near ? `did you mean "${near}"?` : `there are ${names.join(', ')}, oip:URL`
  throw new ModelError(`Cannot use runtime "${wish}": there is no such runtime; ${hint}`)
}
