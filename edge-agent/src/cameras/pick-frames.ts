/**
 * Which decoded frames are analysed. Chosen by time stamps, not by counting, so that streams with a
 * variable frame rate and streams that lose frames still give `analysisFps`.
 */

/** Share of a cell that a frame may be early: time stamps are rounded (to 1 ms in MKV and FLV). */
export const earlyShare = 0.1

/**
 * Time is cut into cells of 1/`analysisFps` s; the first frame in each cell is picked. The average
 * rate is exact wherever the source has at least as many frames. Every frame is picked where
 * `analysisFps` is undefined.
 * @returns a function that is told each frame's position (ms) in order and says whether to pick it
 */
export function pickFrames(analysisFps: number | undefined): (positionMs: number) => boolean {
  if (analysisFps === undefined) return () => true
  let last = Number.NEGATIVE_INFINITY
  return (positionMs) => {
    const cell = Math.floor((positionMs * analysisFps) / 1000 + earlyShare)
    // More than one cell back: the clock of the source started again.
    if (cell <= last && cell >= last - 1) return false
    last = cell
    return true
  }
}
