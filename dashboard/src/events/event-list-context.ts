/** The events of the list beside an opened one: what next and previous go through. */
import type { StoredEvent } from '@edgeloop/protocol'
import { createContext } from 'react'

export const EventListContext = createContext<readonly StoredEvent[]>([])
