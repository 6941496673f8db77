/** What differs between the boxes a bundle can be made for. */
import { type Platform, platforms } from '@edgeloop/protocol'

export type { Platform }

/** This machine's platform, or undefined where no bundle can be made for it. */
export function ownPlatform(
  machine: { platform: string; arch: string } = process,
): Platform | undefined {
  return platforms.find((platform) => platform === `${machine.platform}-${machine.arch}`)
}

/** Folder of ONNX Runtime's libraries for one platform, inside its package, which brings them all. */
export const onnxRuntimeFolder = (platform: Platform): string =>
  `bin/napi-v6/${platform.replace('-', '/')}`

/** Packages with binaries of one platform: sharp's own naming. */
export const sharpPackages = (platform: Platform): readonly string[] => [
  `@img/sharp-${platform}`,
  `@img/sharp-libvips-${platform}`,
]

/** npm package that holds Node's executable for a platform as `bin/node`. */
export const nodePackage = (platform: Platform): string => `node-${platform}`
