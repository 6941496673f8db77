/** Listens for the keys of the table, but never while somebody is typing. */
import { useEffect, useEffectEvent } from 'react'
import { actionOf, type KeyAction, type Pending } from './keys.ts'

/** Calls the handler of what was pressed; actions without one are left to others. */
export function useKeys(handlers: { readonly [A in KeyAction]?: () => void }): void {
  const act = useEffectEvent((action: KeyAction): boolean => {
    const handler = handlers[action]
    handler?.()
    return handler !== undefined
  })
  useEffect(() => {
    let pending: Pending
    const pressed = (event: KeyboardEvent) => {
      if (event.ctrlKey || event.metaKey || event.altKey || event.isComposing) return
      if (event.target instanceof Element && isTyping(event.target)) return
      const { action, pending: next } = actionOf(event.key, pending, event.timeStamp)
      pending = next
      if (action && act(action)) event.preventDefault()
    }
    document.addEventListener('keydown', pressed)
    return () => document.removeEventListener('keydown', pressed)
  }, [])
}

const isTyping = (element: Element): boolean =>
  element.closest(
    'input:not([type="checkbox"]), textarea, select, [contenteditable], [role="dialog"], [role="menu"]',
  ) !== null
