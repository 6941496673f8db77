/** `edgeloop dataset …`: pictures with what is in them, in a folder or in a hub: a file for each. */
import { Command } from 'commander'
import { addHubDatasetCommands } from './dataset-hub.ts'
import { addLocalDatasetCommands } from './dataset-local.ts'

export function datasetCommand(): Command {
  const dataset = new Command('dataset')
    .description(
      'look through labelled pictures, split and convert them; take them to a hub, and freeze them',
    )
    .addHelpText(
      'after',
      `
Examples:
  $ ./edgeloop dataset check photos/
  $ ./edgeloop dataset export photos/ --to coco --out photos-coco/
  $ ./edgeloop dataset import photos/ --name parts      to the hub
  $ ./edgeloop dataset create street --labels car,bus   an empty one there, for a label queue
  $ ./edgeloop dataset freeze parts --holdout 0.2
  $ ./edgeloop dataset list`,
    )
  addHubDatasetCommands(dataset)
  addLocalDatasetCommands(dataset)
  return dataset
}
