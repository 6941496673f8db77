/** What the process that proposes annotations is asked, and what it answers. */
import type { ProposeOrder as Order, ProposedSample } from '@edgeloop/cloud-hub'

export type ProposeOrder = Omit<Order, 'models'> & {
  readonly models: readonly {
    readonly file: string
    readonly description: string
    readonly layout: string
  }[]
}

export type ProposeProgress = { readonly done: number; readonly total: number }

export type Proposed = { readonly samples: readonly ProposedSample[] }
