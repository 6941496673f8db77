/** What a run says while it goes on. Everything that a curve or a page shows of it comes from these words. */

/** Figures of an evaluation, by name: `accuracy`, `loss`, `ap50`. */
export type Figures = Readonly<Record<string, number>>

export type TrainProgress =
  | {
      readonly kind: 'started'
      /** Steps in all, as planned; early stopping may end it before. */
      readonly steps: number
      /** That are behind it already, where it was resumed. */
      readonly step: number
      readonly stepsPerEpoch: number
      readonly batch: number
      readonly parameters: number
      readonly trainable: number
      /** Estimated peak. */
      readonly memoryBytes: number
      readonly samples: {
        readonly train: number
        readonly validation: number
        readonly test: number
      }
    }
  | {
      readonly kind: 'step'
      /** Steps behind it. */
      readonly step: number
      readonly steps: number
      readonly epoch: number
      readonly loss: number
      readonly terms: Figures
      readonly learningRate: number
      readonly imagesPerSecond: number
      /** Of the time of steps: waiting for pictures. */
      readonly dataWaitShare: number
      /** Of the time of steps: neither in the runtime nor waiting. */
      readonly outsideShare: number
      /** Until the last step, as fast as the latest ones; null until it can be told. */
      readonly etaMs: number | null
    }
  | {
      readonly kind: 'evaluation'
      readonly step: number
      readonly on: 'validation' | 'test'
      readonly figures: Figures
      /** It is the best so far. */
      readonly best: boolean
    }
  | { readonly kind: 'checkpoint'; readonly step: number; readonly digest: string }
  | { readonly kind: 'paused'; readonly step: number }
  | { readonly kind: 'warning'; readonly text: string }
