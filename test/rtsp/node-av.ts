/** node-av, where it is installed and its binary loads here. */

export type NodeAv = typeof import('node-av/lib') & typeof import('node-av/constants')

/** Programs that can read and write clips for tests. */
export type ClipTool = 'node-av' | 'ffmpeg'

/** node-av, or undefined where ffmpeg has to do it, or is asked to. */
export async function nodeAvFor(tool: ClipTool | undefined): Promise<NodeAv | undefined> {
  if (tool === 'ffmpeg') return undefined
  try {
    return { ...(await import('node-av/lib')), ...(await import('node-av/constants')) }
  } catch (error) {
    if (tool === 'node-av') throw error
    return undefined
  }
}
