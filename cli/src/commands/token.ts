/** `edgeloop token …`: API tokens for programs. */
import { type Role, roles } from '@edgeloop/protocol'
import { Command, Option } from 'commander'
import { connectHub, type HubOptions } from '../hub-client.ts'
import { integer, withHub } from '../options.ts'
import { ago, formatTable, printJson } from '../output.ts'

type Options = HubOptions & { json?: boolean }

export function tokenCommand(): Command {
  const token = new Command('token')
    .description('List, make and revoke API tokens for programs')
    .addHelpText(
      'after',
      `
Examples:
  $ ./edgeloop token add "line reports" --role viewer --days 90    prints the token, once
  $ ./edgeloop token list
  $ ./edgeloop token remove 4fT0kQ2bXe9L`,
    )
  withHub(token.command('list').description('list the tokens; secrets are never shown')).action(
    async (options: Options) => {
      const hub = await connectHub(options)
      const rows = await hub.call('apiTokenList', {})
      if (options.json) {
        for (const row of rows) printJson(row)
        return
      }
      const now = Date.now()
      console.log(
        formatTable(rows, [
          { title: 'ID', of: (row) => row.tokenId },
          { title: 'NAME', of: (row) => row.name },
          { title: 'ROLE', of: (row) => row.role },
          { title: 'USER', of: (row) => row.user ?? '(this hub)' },
          { title: 'ENDS', of: (row) => row.expiresAt?.slice(0, 10) ?? 'never' },
          { title: 'USED', of: (row) => ago(row.lastUsedAt, now) },
        ]),
      )
    },
  )

  withHub(
    token
      .command('add')
      .argument('<name>', 'what it is for')
      .description('make a token, and print it; it cannot be shown again')
      .addOption(
        new Option('--role <role>', 'what it may do at most').choices(roles).default('viewer'),
      )
      .option('--days <n>', 'days after which it ends (default: never)', integer(1, 3650)),
  ).action(async (name: string, options: Options & { role: Role; days?: number }) => {
    const hub = await connectHub(options)
    const { role, days } = options
    const made = await hub.call('apiTokenAdd', {
      body: { name, role, ...(days === undefined ? {} : { validDays: days }) },
    })
    if (options.json) return printJson(made)
    console.log(made.token)
    const { tokenId, expiresAt } = made.apiToken
    const end = expiresAt === null ? 'It has no end' : `It ends ${expiresAt}`
    process.stderr.write(
      `This is shown once. ${end}; to revoke it: ./edgeloop token remove ${tokenId}\n`,
    )
  })

  withHub(
    token
      .command('remove')
      .argument('<id>', 'id of the token, as `token list` shows it')
      .description('revoke a token'),
  ).action(async (tokenId: string, options: Options) => {
    const hub = await connectHub(options)
    await hub.call('apiTokenRemove', { params: { tokenId } })
    if (options.json) printJson({ tokenId, removed: true })
    else console.log(`Token ${tokenId} is revoked`)
  })
  return token
}
