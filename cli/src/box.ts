/** The command line on a box: the agent and nothing that needs a hub beside it. Entry of the bundle. */
import { Command, CommanderError } from 'commander'
import { agentCommand } from './commands/agent.ts'
import { boxBundleCommand } from './commands/bundle-carry.ts'
import { enrolCommand } from './commands/enrol.ts'
import { reportFailure } from './failure.ts'
import { version } from './version.ts'

const program = new Command('edgeloop-agent')
  .description('The Edgeloop agent of this box')
  .version(version, '-V, --version', 'print the version')
  .helpOption('-h, --help', 'print help for a command')
  .exitOverride()
for (const command of [agentCommand(), enrolCommand(), boxBundleCommand()]) {
  program.addCommand(command.copyInheritedSettings(program))
}

try {
  await program.parseAsync()
} catch (error) {
  if (error instanceof CommanderError) process.exitCode = error.exitCode === 0 ? 0 : 2
  else process.exitCode = reportFailure(error)
}
