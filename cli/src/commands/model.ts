/** `edgeloop model`: models before they go to a box. */
import { Command } from 'commander'
import { compareCommand } from './model-compare.ts'
import { compileCommand } from './model-compile.ts'

export function modelCommand(): Command {
  return new Command('model')
    .description('make models smaller and faster, and compare them')
    .addCommand(compileCommand())
    .addCommand(compareCommand())
}
