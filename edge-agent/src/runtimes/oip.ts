/**
 * The `Runtime` on a server that speaks the Open Inference Protocol v2 (Triton, OpenVINO Model Server,
 * another agent): the way to accelerators that onnxruntime-node does not reach.
 */
import { readModelFile } from './model-file.ts'
import type { OipAddress, OipLimits } from './oip-session.ts'
import { ModelError, type Runtime } from './runtime.ts'

export const oipScheme = 'oip:'

/**
 * @param wish `oip:http://127.0.0.1:8000`, with `/MODEL` to use a model of the server by its name
 * @param limits those of `oipLimits` where left out
 * @param token sent to the server with every request
 * @throws {ModelError} when there is no such address
 */
export function oipRuntime(
  wish: string,
  { token, limits }: { readonly token?: string; readonly limits?: Partial<OipLimits> } = {},
): Runtime {
  const address = { ...addressOf(wish), token }
  const runtime = `${oipScheme}${address.origin}${address.model === undefined ? '' : `/${address.model}`}`
  return {
    name: runtime,
    async open(file, options) {
      const model = await readModelFile(file)
      options.signal?.throwIfAborted()
      // Schemas and their compiler cost 20 MB: only for whom they are used.
      const { openOipSession, oipLimits } = await import('./oip-session.ts')
      return await openOipSession({
        runtime,
        address,
        file,
        model,
        options,
        limits: { ...oipLimits, ...limits },
      })
    },
  }
}

function addressOf(wish: string): Omit<OipAddress, 'token'> {
  const refuse = (why: string): never => {
    throw new ModelError(`Cannot use runtime "${shown(wish)}": ${why}`)
  }
  const way = 'expected oip:http://HOST:PORT or oip:http://HOST:PORT/MODEL'
  const url = URL.parse(wish.slice(oipScheme.length))
  if (!url || !/^https?:$/.test(url.protocol)) return refuse(`it has no web address; ${way}`)
  if (url.username !== '' || url.password !== '') {
    return refuse('secrets do not belong into an address; put a token into EDGELOOP_OIP_TOKEN')
  }
  if (url.search !== '' || url.hash !== '')
    return refuse(`it has "${url.search}${url.hash}"; ${way}`)
  const [, model = '', ...more] = url.pathname.split('/')
  if (model === 'v2') return refuse(`leave /v2 out; ${way}`)
  if (more.length > 0) return refuse(`"${url.pathname}" is no name of a model; ${way}`)
  try {
    return { origin: url.origin, model: model === '' ? undefined : decodeURIComponent(model) }
  } catch {
    return refuse(`"${model}" is no name of a model; ${way}`)
  }
}

/** Without what may be a password. */
function shown(wish: string): string {
  return wish.replace(/\/\/[^/@]*@/, '//…@')
}
