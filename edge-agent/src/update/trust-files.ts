/** What the box trusts of the hub's metadata lies beside its slots, written as they are. */
import type { TrustFiles } from '@edgeloop/model-compiler/artifact'
import { replaceFile, type UpdateDisk } from './update-disk.ts'

/** @param disk names in it are of the trust client, which knows no folders */
export function trustFilesOn(disk: UpdateDisk): TrustFiles {
  return {
    read: (name) => disk.read(`trust/${name}`),
    write: (name, bytes) => replaceFile(disk, `trust/${name}`, bytes),
  }
}
