/**
 * The command line: every command in one table. Each command loads what it needs when it runs, so
 * that `device list` never waits for an inference runtime.
 */
import { Command, CommanderError } from 'commander'
import { agentCommand } from './commands/agent.ts'
import { bundleCommand } from './commands/bundle.ts'
import { cameraCommand } from './commands/camera.ts'
import { datasetCommand } from './commands/dataset.ts'
import { deltaCommand } from './commands/delta.ts'
import { detectCommand } from './commands/detect.ts'
import { deviceCommand } from './commands/device.ts'
import { siteCommand } from './commands/device-updates.ts'
import { driftCommand } from './commands/drift.ts'
import { eventsCommand } from './commands/events.ts'
import { hubCommand } from './commands/hub.ts'
import { inferCommand } from './commands/infer.ts'
import { jobCommand } from './commands/job.ts'
import { keysCommand } from './commands/keys.ts'
import { labelCommand } from './commands/label.ts'
import { modelCommand } from './commands/model.ts'
import { pipelineCommand } from './commands/pipeline.ts'
import { receiverCommand } from './commands/receiver.ts'
import { rolloutCommand } from './commands/rollout.ts'
import { ruleCommand } from './commands/rule.ts'
import { runCommand } from './commands/run.ts'
import { forgetCommand, sampleCommand } from './commands/sample.ts'
import { storeCommand } from './commands/store.ts'
import { streamCommand } from './commands/stream.ts'
import { tokenCommand } from './commands/token.ts'
import { trainCommand } from './commands/train.ts'
import { upCommand } from './commands/up.ts'
import { userCommand } from './commands/user.ts'
import { reportFailure } from './failure.ts'
import { version } from './version.ts'

const program = new Command('edgeloop')
  .description(
    'Cameras that get better by themselves: agents on edge boxes, a hub, and the loop between them',
  )
  .version(version, '-V, --version', 'print the version')
  .helpOption('-h, --help', 'print help for a command')
  .showHelpAfterError('hint: add --help to see what this command takes')
  .configureOutput({ outputError: (text, write) => write(text) })
  .exitOverride()
  // `hub` and `hub link` both take --data: each takes what stands behind its own name.
  .enablePositionalOptions()
  .addHelpText(
    'after',
    `
Examples:
  $ npm start                                     hub, dashboard and a demo camera
  $ ./edgeloop detect --model m.onnx --layout yolox --labels coco --images photos/
  $ ./edgeloop train --dataset-dir photos/ --model new:mobilenet-v2 --out runs/gate
  $ ./edgeloop device list
  $ ./edgeloop stream add demo --id gate --source rtsp://camera/stream1
  $ ./edgeloop events --follow

Commands that talk to a hub take --hub URL and --token (or EDGELOOP_HUB, EDGELOOP_TOKEN);
by default the hub whose data are in .edgeloop/.`,
  )

for (const command of [
  upCommand(),
  hubCommand(),
  agentCommand(),
  cameraCommand(),
  detectCommand(),
  modelCommand(),
  deltaCommand(),
  datasetCommand(),
  trainCommand(),
  deviceCommand(),
  siteCommand(),
  rolloutCommand(),
  labelCommand(),
  driftCommand(),
  pipelineCommand(),
  streamCommand(),
  sampleCommand(),
  forgetCommand(),
  eventsCommand(),
  ruleCommand(),
  receiverCommand(),
  userCommand(),
  tokenCommand(),
  keysCommand(),
  bundleCommand(),
  storeCommand(),
  runCommand(),
  inferCommand(),
  jobCommand(),
]) {
  program.addCommand(inheritManners(command))
}

/** Settings of the program that commander does not hand down to commands made elsewhere. */
function inheritManners(command: Command): Command {
  command.copyInheritedSettings(program)
  for (const child of command.commands) inheritManners(child)
  return command
}

// A reader that has seen enough, such as `head`, is no failure.
process.stdout.on('error', (error: NodeJS.ErrnoException) => {
  if (error.code === 'EPIPE') process.exit(0)
  throw error
})

try {
  await program.parseAsync()
} catch (error) {
  if (error instanceof CommanderError) {
    // Commander has printed the error or the help already; wrong usage is 2 here.
    process.exitCode = error.exitCode === 0 ? 0 : 2
  } else {
    process.exitCode = reportFailure(error)
  }
}
// The channel to whoever started us would keep a finished command alive.
if (process.connected) process.disconnect()
