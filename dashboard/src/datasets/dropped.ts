/** What somebody dropped or chose: an archive as it is, or a folder made into one. */
import { type FileAt, tarBlob } from './tar-blob.ts'

/** Something to import, and what to call it. */
export type Dropped = { readonly name: string; readonly file: Blob; readonly what: string }

/** Files of one folder; more are sent by the command line. */
const filesMax = 100_000

const archives = /\.(zip|tar|tar\.gz|tgz|tar\.zst)$/i

/** @throws {Error} when it is neither an archive nor a folder, or holds too much */
export async function droppedOf(transfer: DataTransfer): Promise<Dropped> {
  // Entries are only there until the event is over: they are taken at once.
  const [entry] = [...transfer.items].flatMap((item) => item.webkitGetAsEntry() ?? [])
  const [file] = transfer.files
  if (entry?.isDirectory) {
    const files: FileAt[] = []
    await gather(entry as FileSystemDirectoryEntry, '', files)
    return ofFolder(entry.name, files)
  }
  if (!file) throw new Error('Cannot import this: drop an archive (zip, tar) or a folder')
  return ofFile(file)
}

/** @throws {Error} when it is no archive */
export function ofFile(file: File): Dropped {
  if (archives.test(file.name)) {
    return { name: file.name.replace(archives, ''), file, what: file.name }
  }
  throw new Error(
    `Cannot import "${file.name}": drop an archive (zip, tar) or the folder that it lies in`,
  )
}

/** Files that were chosen with their folder. */
export function ofChosen(files: readonly File[]): Dropped {
  const [first] = files
  const name = first?.webkitRelativePath.split('/')[0] ?? 'folder'
  return ofFolder(
    name,
    files.map((file) => ({ path: file.webkitRelativePath, file })),
  )
}

function ofFolder(name: string, files: readonly FileAt[]): Dropped {
  if (files.length === 0) throw new Error(`Cannot import "${name}": there is no file in it`)
  return { name, file: tarBlob(files), what: `${name}/, ${files.length} files` }
}

async function gather(
  folder: FileSystemDirectoryEntry,
  below: string,
  into: FileAt[],
): Promise<void> {
  const reader = folder.createReader()
  for (;;) {
    // It gives a hundred at a time, and none at the end.
    const entries = await new Promise<FileSystemEntry[]>((resolve, reject) =>
      reader.readEntries(resolve, reject),
    )
    if (entries.length === 0) return
    for (const entry of entries) {
      const path = below === '' ? entry.name : `${below}/${entry.name}`
      if (entry.isDirectory) await gather(entry as FileSystemDirectoryEntry, path, into)
      else {
        const file = await new Promise<File>((resolve, reject) =>
          (entry as FileSystemFileEntry).file(resolve, reject),
        )
        if (into.push({ path, file }) > filesMax) {
          throw new Error(
            `Cannot import more than ${filesMax} files here: use ./edgeloop dataset import`,
          )
        }
      }
    }
  }
}
