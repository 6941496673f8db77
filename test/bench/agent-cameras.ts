/** The cameras of the agent bench, in a process of their own: one RTSP server, any number of viewers. */
import { readClip } from '../rtsp/access-units.ts'
import { RtspServer } from '../rtsp/rtsp-server.ts'

const server = await RtspServer.open({ clip: await readClip(process.argv[2] ?? '') })
process.send?.({ url: server.url })
process.once('disconnect', () => process.exit(0))
