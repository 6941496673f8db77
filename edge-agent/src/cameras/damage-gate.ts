/**
 * Which decoded pictures may be shown to a model. After a damaged one, those that follow refer to it
 * until the next key frame: the decoder conceals what is missing, and concealed is invented.
 */

/** Without a whole key frame for this long (intra refresh, endless groups), damaged pictures are shown. */
export const skipMaxMs = 10_000

export type PictureState = 'whole' | 'whole key' | 'damaged'

/** @returns a function that is told each picture's state at `nowMs` and says whether to show it */
export function damageGate(): (state: PictureState, nowMs: number) => boolean {
  let damagedSince: number | undefined
  return (state, nowMs) => {
    if (state === 'whole key') damagedSince = undefined
    else if (state === 'damaged') damagedSince ??= nowMs
    return damagedSince === undefined || nowMs - damagedSince > skipMaxMs
  }
}
