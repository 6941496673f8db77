/**
 * Real-user monitoring: Faro beacons to the hub's own receiver, on the same origin. Loaded after the
 * first page has been painted; where it fails or is blocked, nobody notices.
 */
import { routes } from '@edgeloop/protocol'
import type { AnyRouter } from '@tanstack/react-router'

/** Starts monitoring once the browser is idle. Never throws, writes nothing to the console. */
export function monitorLater(router: AnyRouter, version: string): void {
  const begin = () => void monitor(router, version).catch(() => {})
  if ('requestIdleCallback' in window) requestIdleCallback(begin, { timeout: 5000 })
  else setTimeout(begin, 2000)
}

async function monitor(router: AnyRouter, version: string): Promise<void> {
  const {
    ErrorsInstrumentation,
    FetchTransport,
    initializeFaro,
    InternalLoggerLevel,
    SessionInstrumentation,
    ViewInstrumentation,
    WebVitalsInstrumentation,
  } = await import('@grafana/faro-web-sdk')
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
