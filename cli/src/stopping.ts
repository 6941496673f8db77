/**
 * One abort signal for everything that should end a long-running command: Ctrl-C, SIGTERM, SIGHUP,
 * and the end of the parent that started us.
 */
export function stopSignal(): AbortSignal {
  const abort = new AbortController()
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
    // Stays registered: a launcher above us passes the same signal on a second time.
    process.on(signal, () => abort.abort(new Error(signal)))
  }
  if (process.connected) process.once('disconnect', () => abort.abort(new Error('parent ended')))
  return abort.signal
}
