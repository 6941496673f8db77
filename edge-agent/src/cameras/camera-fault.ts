/** What can go wrong with a camera, said once for all decoders: what, why, and a way out. */
import { CameraError, type CameraFault } from './camera.ts'

const causes = {
  nobody: {
    fault: 'refused',
    why: 'nobody answers there',
    way: 'check address and port, and that the camera is on',
  },
  strange: {
    fault: 'refused',
    why: 'it hangs up, or does not speak RTSP',
    way: 'check the port (RTSP is usually 554), and how many viewers the camera allows',
  },
  notHttp: {
    fault: 'refused',
    why: 'it hangs up, or does not speak HTTP',
    way: 'check the port, whether it wants http: or https:, and how many viewers the camera allows',
  },
  failing: {
    fault: 'refused',
    why: 'it answers with an error',
    way: 'see what its own page says, and how many viewers it allows',
  },
  untrusted: {
    fault: 'refused',
    why: 'its certificate is not trusted here',
    way: 'start the agent with NODE_EXTRA_CA_CERTS=FILE that holds its certificate, or use http: in a network you trust',
  },
  elsewhere: {
    fault: 'refused',
    why: 'it sends viewers on to another host, which is not followed',
    way: 'give that address if it is meant',
  },
  notPictures: {
    fault: 'unreadable',
    why: 'what it sends are no JPEG pictures',
    way: 'find the address of its MJPEG stream or JPEG snapshot in its manual; other video is read by rtsp:',
  },
  login: {
    fault: 'refused',
    why: 'it refuses the user or the password',
    way: 'put them into the address, before the host: USER:PASSWORD@HOST',
  },
  path: {
    fault: 'refused',
    why: 'it answers, but has no such stream',
    way: 'check the path after the port in the camera’s manual',
  },
  silent: {
    fault: 'refused',
    why: 'no picture came in time',
    way: 'check that the camera sends video over TCP, or allow it more time',
  },
  gone: {
    fault: 'refused',
    why: 'the file can no longer be opened',
    way: 'check that it is still there',
  },
  busy: {
    fault: 'refused',
    why: 'another program uses it',
    way: 'end that program: only one can use a camera at a time',
  },
  forbidden: {
    fault: 'refused',
    why: 'this user may not open it',
    way: 'add the user to the group that owns the device (usually video)',
  },
  unplugged: {
    fault: 'refused',
    why: 'the device is not there',
    way: 'check that it is plugged in: ls /dev/video*',
  },
  noCamera: {
    fault: 'refused',
    why: 'it gives no video as it was asked',
    way: 'ask for what it offers: ffmpeg -f v4l2 -list_formats all -i DEVICE',
  },
  noVideo: {
    fault: 'unreadable',
    why: 'there is no video in it',
    way: 'give a clip with a video track, such as MP4, MKV, AVI or GIF',
  },
  codec: {
    fault: 'unreadable',
    why: 'the decoder does not know its kind of video',
    way: 'set the camera to H.264, H.265 or MJPEG',
  },
  garbage: {
    fault: 'unreadable',
    why: 'what it sends cannot be decoded',
    way: 'check that it plays elsewhere, and the network for lost packets',
  },
  stalled: {
    fault: 'stalled',
    why: 'it has stopped sending pictures',
    way: 'check the camera and the network',
  },
  ended: {
    fault: 'ended',
    why: 'it closed the connection',
    way: 'connect again; if it happens often, check how many viewers the camera allows',
  },
} as const satisfies Record<string, { fault: CameraFault; why: string; way: string }>

export type CameraCause = keyof typeof causes

/**
 * The error for one cause.
 * @param act what could not be done: `open` or `read`
 * @param name the source as people see it, quoted and without its password
 * @param detail what the decoder itself said, if it helps
 */
export function cameraFault(
  cause: CameraCause,
  act: 'open' | 'read',
  name: string,
  detail?: string,
): CameraError {
  const { fault, why, way } = causes[cause]
  const said = detail === undefined || detail === '' ? '' : ` (${detail})`
  return new CameraError(fault, `Cannot ${act} camera ${name}: ${why}${said}; ${way}`)
}
