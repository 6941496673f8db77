/**
 * Real-user monitoring: Faro beacons to the hub's own receiver, on the same origin. Loaded after the
 * first page has been painted; where it fails or is blocked, nobody notices.
 */
import { routes } from '@edgeloop/protocol'
import type { AnyRouter } from '@tanstack/react-router'

/** The first page has been painted and its pictures have come by then. */
const idleMs = 3000

/**
 * Starts monitoring soon, unless it runs already: Faro lives as long as its page. Only somebody who is
 * signed in may send beacons. Never throws, writes nothing to the console.
 * @returns how to call it off while it has not begun
 */
export function monitorLater(router: AnyRouter, version: string): () => void {
  const timer = setTimeout(() => void monitor(router, version).catch(() => {}), idleMs)
  return () => clearTimeout(timer)
}

async function monitor(router: AnyRouter, version: string): Promise<void> {
  const {
    ErrorsInstrumentation,
    faro: existing,
    FetchTransport,
    initializeFaro,
    InternalLoggerLevel,
    SessionInstrumentation,
    ViewInstrumentation,
    WebVitalsInstrumentation,
  } = await import('@grafana/faro-web-sdk')
  if (existing?.api) return
  const faro = initializeFaro({
    app: { name: 'edgeloop-dashboard', version },
    internalLoggerLevel: InternalLoggerLevel.OFF,
    transports: [
      new FetchTransport({
        url: routes.telemetry.path,
        requestOptions: { credentials: 'same-origin' },
      }),
    ],
    instrumentations: [
      new ErrorsInstrumentation(),
      new WebVitalsInstrumentation(),
      new SessionInstrumentation(),
      new ViewInstrumentation(),
    ],
  })
  const view = () => {
    const name = router.state.matches.at(-1)?.routeId
    if (name) faro.api?.setView({ name })
  }
  view()
  router.subscribe('onResolved', view)
}
