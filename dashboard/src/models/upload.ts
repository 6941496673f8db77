/** A file to the hub in parts; a part that was cut off is sent again. */
import { CallFailed } from '@edgeloop/protocol'
import { call } from '../api/call.ts'

/** Times that a part is tried before the upload fails. */
const triesMax = 5
const pauseMs = 1000

/**
 * @param onProgress told the share (0..1) that has arrived
 * @returns the upload's id, for whatever is to be made of it
 * @throws {CallFailed} when the hub refuses it, or does not answer for too long
 */
export async function uploadFile(
  file: Blob,
  options: { onProgress: (share: number) => void; signal: AbortSignal },
): Promise<string> {
  const { onProgress, signal } = options
  let upload = await call('uploadBegin', { body: { sizeBytes: file.size }, signal })
  let tries = 0
  while (upload.receivedBytes < upload.sizeBytes) {
    const { receivedBytes: offset, partBytesMax, uploadId } = upload
    try {
      const bytes = file.slice(offset, offset + partBytesMax)
      upload = await call('uploadPart', { params: { uploadId, offset }, bytes, signal })
      tries = 0
      onProgress(upload.receivedBytes / upload.sizeBytes)
    } catch (error) {
      const again = error instanceof CallFailed && error.code === 'unreachable'
      if (!again || ++tries >= triesMax) throw error
      await new Promise((resolve) => setTimeout(resolve, pauseMs * tries))
    }
  }
  return upload.uploadId
}
