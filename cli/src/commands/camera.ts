/** `edgeloop camera …`: finds the cameras in this network and asks them for their addresses. */
import { Command } from 'commander'
import { gather, jsonOption, number } from '../options.ts'
import { formatTable, printJson } from '../output.ts'
import { stopSignal } from '../stopping.ts'

type DiscoverOptions = { wait: number; json?: boolean }
type OnvifOptions = { timeout: number; allowHost?: string[]; json?: boolean }

export function cameraCommand(): Command {
  const camera = new Command('camera')
    .description('Find ONVIF cameras in this network and ask them for their stream addresses')
    .addHelpText(
      'after',
      `
Examples:
  $ ./edgeloop camera discover
  $ ./edgeloop camera onvif http://admin:secret@192.168.1.20/onvif/device_service

Run it on a machine in the camera's network, such as the box itself.`,
    )
  camera
    .command('discover')
    .description('list the cameras that answer a WS-Discovery probe')
    .option('--wait <seconds>', 'how long to wait for answers', number(0.1, 60), 3)
    .addOption(jsonOption())
    .addHelpText('after', '\nExample:\n  $ ./edgeloop camera discover --wait 5')
    .action(async ({ wait, json }: DiscoverOptions) => {
      const { discoverCameras } = await import('@edgeloop/edge-agent/onvif')
      const cameras = await discoverCameras({ waitMs: wait * 1000, signal: stopSignal() })
      if (json) {
        for (const found of cameras) printJson(found)
        return
      }
      if (cameras.length === 0) {
        process.stderr.write(
          'No camera has answered. ONVIF may be switched off in the camera, or it is in another network.\n',
        )
        return
      }
      console.log(
        formatTable(cameras, [
          { title: 'ADDRESS', of: ({ url }) => url },
          { title: 'NAME', of: ({ name }) => name },
          { title: 'HARDWARE', of: ({ hardware }) => hardware },
        ]),
      )
    })
  camera
    .command('onvif')
    .argument('<url>', 'http://USER:PASSWORD@HOST, as `camera discover` lists it')
    .description('list the streams of a camera')
    .option('--timeout <seconds>', 'give up after this long', number(0.1, 300), 15)
    .option('--allow-host <host>', 'believe addresses on this host too; may be repeated', gather)
    .addOption(jsonOption())
    .addHelpText(
      'after',
      '\nExample:\n  $ ./edgeloop camera onvif http://admin:secret@192.168.1.20',
    )
    .action(async (url: string, { timeout, allowHost = [], json }: OnvifOptions) => {
      const { describeCamera } = await import('@edgeloop/edge-agent/onvif')
      const found = await describeCamera({
        url,
        allowHosts: allowHost,
        timeoutMs: timeout * 1000,
        now: Date.now,
        signal: stopSignal(),
      })
      if (json) return printJson(found)
      process.stderr.write(`${found.manufacturer} ${found.model}\n`)
      console.log(
        formatTable(found.profiles, [
          { title: 'PROFILE', of: ({ name }) => name },
          { title: 'SIZE', of: ({ width, height }) => (width ? `${width}×${height}` : '') },
          { title: 'FPS', of: ({ fps }) => String(fps ?? '') },
          { title: 'CODEC', of: ({ codec }) => codec ?? '' },
          { title: 'SOURCE', of: ({ source }) => source },
        ]),
      )
      process.stderr.write(
        'The addresses are without user and password: put yours before the host when you add a stream.\n',
      )
    })
  return camera
}
