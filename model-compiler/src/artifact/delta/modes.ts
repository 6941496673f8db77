/** How one payload is told; the number travels. */
export const modes = {
  /** As its counterpart in the base. */
  same: 0,
  /** Residuals against its counterpart. */
  base: 1,
  /** Codes: residuals against the counterpart's values in the new scale. */
  scaled: 2,
  /** A scale: the product of two others, rounded to float32. */
  product: 3,
  /** Residuals against nothing. */
  alone: 4,
  /** Its bytes lie behind the skeleton. */
  apart: 5,
} as const
export type Mode = (typeof modes)[keyof typeof modes]
export const modeCount = 6
