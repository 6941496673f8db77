/** `edgeloop dataset …`: pictures with what is in them. Those that a hub keeps are in a file of their own. */
import { Command } from 'commander'
import { addHubDatasetCommands } from './dataset-hub.ts'

export function datasetCommand(): Command {
  const dataset = new Command('dataset')
    .description('take labelled pictures to a hub, and freeze them for training')
    .addHelpText(
      'after',
      `
Examples:
  $ ./edgeloop dataset import photos/ --name parts      to the hub
  $ ./edgeloop dataset freeze parts --holdout 0.2
  $ ./edgeloop dataset list`,
    )
  addHubDatasetCommands(dataset)
  return dataset
}
