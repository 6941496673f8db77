/** What ONNX Runtime can execute a model on, and its reasons for not doing so in our words. */
import { ortReason } from './ort-reason.ts'

/** Execution providers that onnxruntime-node knows by name; which of them a platform has differs. */
export const ortProviders = ['cpu', 'webgpu', 'cuda', 'tensorrt', 'coreml', 'dml', 'qnn'] as const
export type OrtProvider = (typeof ortProviders)[number]

/** How profiles call them. */
const profileNames: Readonly<Record<OrtProvider, string>> = {
  cpu: 'CPUExecutionProvider',
  webgpu: 'WebGpuExecutionProvider',
  cuda: 'CUDAExecutionProvider',
  tensorrt: 'TensorrtExecutionProvider',
  coreml: 'CoreMLExecutionProvider',
  dml: 'DmlExecutionProvider',
  qnn: 'QNNExecutionProvider',
}

/**
 * Whom ONNX Runtime may give operators to, best first; the CPU takes what is left, unasked.
 * TensorRT leaves to CUDA what it does not know.
 */
export function providerChain(provider: OrtProvider): readonly OrtProvider[] {
  return provider === 'tensorrt' ? ['tensorrt', 'cuda'] : [provider]
}

/** Where the operators of a model really ran. */
export type Placement = {
  readonly operators: number
  /** How many of them the provider ran that was asked for. */
  readonly onProvider: number
}

/**
 * Reads a profile that ONNX Runtime wrote: only there it says which provider ran what.
 * @throws {SyntaxError} when it is no profile
 */
export function placementIn(profile: string, provider: OrtProvider): Placement {
  const events: unknown = JSON.parse(profile)
  if (!Array.isArray(events)) throw new SyntaxError('A profile is a list of events')
  const ran = new Map<string, string>()
  for (const event of events) {
    const { cat, args } = (event ?? {}) as { cat?: unknown; args?: Record<string, unknown> }
    if (cat !== 'Node' || typeof args?.provider !== 'string') continue
    ran.set(String(args.node_index), args.provider)
  }
  const wanted = profileNames[provider]
  return {
    operators: ran.size,
    onProvider: [...ran.values()].filter((name) => name === wanted).length,
  }
}

/** Why a provider took no model. */
export function providerReason(provider: OrtProvider, text: string): string {
  if (/backend not found/.test(text)) return `ONNX Runtime has no ${provider} on this platform`
  if (/Failed to load shared library/.test(text)) {
    return `the library of ${provider} is not installed; docs/runtimes.md says how`
  }
  if (/Failed to get a WebGPU adapter/.test(text)) {
    return 'there is no graphics processor that WebGPU can use'
  }
  return ortReason(text)
}
