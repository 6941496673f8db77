/** The events of the list beside an opened one: what next and previous go through. */
import type { StoredEvent } from '@edgeloop/protocol'
import { createContext } from 'react'

/** A window too narrow for a list and an opened event side by side. */
export const narrowQuery = '(max-width: 1000px)'

export const EventListContext = createContext<readonly StoredEvent[]>([])
