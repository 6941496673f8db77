/** Options that several commands share, and readers that refuse what is no number. */
import { type Command, InvalidArgumentError, Option } from 'commander'

export const defaultData = '.edgeloop'

export const dataOption = (): Option =>
  new Option('--data <dir>', 'folder where everything is kept').default(defaultData)
export const jsonOption = (): Option => new Option('--json', 'print JSON lines instead of a table')
export const hubOption = (): Option => new Option('--hub <url>', 'hub to talk to (or EDGELOOP_HUB)')
export const caOption = (): Option =>
  new Option('--ca <file>', "the hub's CA certificate, where it has its own (or EDGELOOP_CA)")
export const tokenOption = (): Option =>
  new Option('--token <token>', 'API token (or EDGELOOP_TOKEN)')

/** Adds what every command that talks to a hub takes. */
export const withHub = (command: Command): Command =>
  command
    .addOption(jsonOption())
    .addOption(hubOption())
    .addOption(caOption())
    .addOption(tokenOption())
    .addOption(dataOption())

/** Reads a number within bounds, ends included. */
export function number(min: number, max: number): (text: string) => number {
  return (text) => {
    const value = Number(text)
    if (text.trim() === '' || !Number.isFinite(value) || value < min || value > max) {
      throw new InvalidArgumentError(`it must be a number from ${min} to ${max}`)
    }
    return value
  }
}

/** Reads a whole number within bounds, ends included. */
export function integer(min: number, max: number): (text: string) => number {
  const read = number(min, max)
  return (text) => {
    const value = read(text)
    if (!Number.isInteger(value)) throw new InvalidArgumentError('it must be a whole number')
    return value
  }
}

/** Gathers the values of an option that may be given several times. */
export const gather = (value: string, before: readonly string[] | undefined): string[] => [
  ...(before ?? []),
  value,
]
