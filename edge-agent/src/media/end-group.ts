/**
 * The hard end of a media process: itself and every decoder it runs as a process of its own. Used when
 * a clean end takes too long, and when the supervisor was killed while this process's own thread hangs.
 */

/** Ends this process and its group at once; does not return. */
export function endGroup(): never {
  try {
    // A supervisor starts a media process as the leader of a group of its own.
    process.kill(-process.pid, 'SIGKILL')
  } catch {
    process.kill(process.pid, 'SIGKILL')
  }
  // The signal may take a moment to arrive in this thread.
  for (;;) Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0)
}

/** How often it is looked for the supervisor, and how long a clean end may take once it is gone. */
const lookIntervalMs = 1_000
const graceMs = 4_000

/**
 * Watches, from a thread that still runs, whether the process has lost its parent, and ends it when it
 * does not end by itself.
 */
export function endWithParent(): void {
  const parent = process.ppid
  let goneMs: number | undefined
  const looking = setInterval(() => {
    if (process.ppid === parent) return
    goneMs ??= performance.now()
    if (performance.now() - goneMs > graceMs) endGroup()
  }, lookIntervalMs)
  looking.unref()
}
