/** Bytes that were sent, beside what whole files would have been. */
import type { RolloutBytes } from '@edgeloop/protocol'
import { sayBytes } from '../shell/say.ts'
import { saySaved } from './rollout-words.ts'
import classes from './rollouts.module.css'

export function BytesSaved({ bytes }: { bytes: RolloutBytes }) {
  const { fromHub, fromMirrors, whole } = bytes
  const most = Math.max(1, whole, fromHub + fromMirrors)
  const width = (part: number) => `${(100 * part) / most}%`
  return (
    <section className={classes.section} aria-labelledby="bytes">
      <h2 id="bytes">Bytes</h2>
      <p>{saySaved(fromHub + fromMirrors, whole)}</p>
      <dl className={classes.bytes}>
        <div>
          <dt>Sent</dt>
          <dd>
            <span className={classes.bytesBar} aria-hidden>
              <span data-part="hub" style={{ width: width(fromHub) }} />
              <span data-part="mirrors" style={{ width: width(fromMirrors) }} />
            </span>
            <span>
              {sayBytes(fromHub)} by the hub
              {fromMirrors > 0 && `, ${sayBytes(fromMirrors)} from box to box`}
            </span>
          </dd>
        </div>
        <div>
          <dt>As whole files</dt>
          <dd>
            <span className={classes.bytesBar} aria-hidden>
              <span data-part="whole" style={{ width: width(whole) }} />
            </span>
            <span>{sayBytes(whole)}</span>
          </dd>
        </div>
      </dl>
    </section>
  )
}
