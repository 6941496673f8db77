/**
 * Place for what is fetched when it is first asked for, dialogs above all: what a page needs to be read
 * stays small.
 */
import { type ReactNode, Suspense } from 'react'

/** @param when its children, lazy components, are loaded and mounted while this is true */
export function OnDemand(props: { when: boolean; children: ReactNode }) {
  return props.when ? <Suspense fallback={null}>{props.children}</Suspense> : null
}
