/** What the process that explains a classifier is asked, and what it answers. */
export type ExplainOrder = {
  readonly file: string
  readonly layout?: string
  readonly labels?: string
  readonly description?: string
  readonly image: string
  /** The label that is asked about; without it the one that is said. */
  readonly label?: string
  /** The layer that Grad-CAM looks at. */
  readonly layer?: string
  /** Where the pictures are written. */
  readonly out: string
}

export type Explained = {
  readonly image: string
  readonly label: string
  /** Probability of it. */
  readonly score: number
  readonly layer: string
  /** Of the five best labels. */
  readonly scores: readonly { readonly label: string; readonly score: number }[]
  /** Strongest place of Grad-CAM, in shares of the image. */
  readonly peak: readonly [x: number, y: number]
  readonly files: { readonly gradCam: string; readonly saliency: string }
}
