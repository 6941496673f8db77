/** Listens for the keys of the Label page, before the shell does, and never while somebody is typing. */
import { useEffect, useEffectEvent } from 'react'
import { type LabelAct, type LabelKey, labelKeyOf } from './label-keys.ts'

/**
 * @param handlers what each act does; one that gives false leaves the key to the browser
 * @param onReleased called when `H` goes up
 */
export function useLabelKeys(
  handlers: { readonly [A in LabelAct]: (key: LabelKey['key'], event: KeyboardEvent) => unknown },
  onReleased: () => void,
): void {
  const act = useEffectEvent((found: LabelKey, event: KeyboardEvent) =>
    handlers[found.act](found.key, event),
  )
  const release = useEffectEvent(onReleased)
  useEffect(() => {
    const stop = new AbortController()
    const pressed = (event: KeyboardEvent) => {
      if (event.isComposing || (event.target instanceof Element && isElsewhere(event.target)))
        return
      const found = labelKeyOf({
        key: event.key,
        code: event.code,
        repeat: event.repeat,
        shiftKey: event.shiftKey,
        ctrlKey: event.ctrlKey,
        metaKey: event.metaKey,
        altKey: event.altKey,
        altGraph: event.getModifierState('AltGraph'),
      })
      if (!found) return
      // Buttons and links are pressed by these themselves.
      const own =
        event.target instanceof Element && event.target.closest('button, a, summary, input')
      if (own && (event.key === ' ' || event.key === 'Enter' || event.key === 'Tab')) return
      // Other keys of the page are not heard here, so that no key does two things.
      event.stopImmediatePropagation()
      if (act(found, event) !== false) event.preventDefault()
    }
    const options = { signal: stop.signal, capture: true }
    window.addEventListener('keydown', pressed, options)
    window.addEventListener('keyup', ({ key }) => key.toLowerCase() === 'h' && release(), options)
    window.addEventListener('blur', () => release(), options)
    return () => stop.abort()
  }, [])
}

const isElsewhere = (element: Element): boolean =>
  element.closest(
    'input:not([type="checkbox"], [type="radio"]), textarea, select, [contenteditable], [role="dialog"], [role="menu"]',
  ) !== null
