/** `edgeloop user …`: who may use the hub. */
import { type Role, roles } from '@edgeloop/protocol'
import { Argument, Command, Option } from 'commander'
import { connectHub, type HubClient, type HubOptions } from '../hub-client.ts'
import { withHub } from '../options.ts'
import { ago, formatTable, printJson } from '../output.ts'

type Options = HubOptions & { json?: boolean }

export function userCommand(): Command {
  const user = new Command('user')
    .description('List, add and remove the people who may use the hub')
    .addHelpText(
      'after',
      `
Roles: a viewer looks, an operator changes devices and streams, an admin also adds devices and people.

Examples:
  $ ./edgeloop user add anna@plant.example --role operator    prints the link to choose a password
  $ ./edgeloop user list
  $ ./edgeloop user set-role anna@plant.example admin
  $ ./edgeloop user link anna@plant.example                   a new link when the password is lost
  $ ./edgeloop user remove anna@plant.example`,
    )
  withHub(user.command('list').description('list the accounts')).action(
    async (options: Options) => {
      const hub = await connectHub(options)
      const rows = await hub.call('userList', {})
      if (options.json) {
        for (const row of rows) printJson(row)
        return
      }
      const now = Date.now()
      console.log(
        formatTable(rows, [
          { title: 'USER', of: (row) => row.user },
          { title: 'ROLE', of: (row) => row.role },
          { title: 'PASSWORD', of: (row) => (row.hasPassword ? 'set' : 'not yet') },
          { title: 'SESSIONS', of: (row) => row.sessions, right: true },
          { title: 'TOKENS', of: (row) => row.apiTokens, right: true },
          { title: 'SIGNED IN', of: (row) => ago(row.lastSignInAt, now) },
        ]),
      )
    },
  )

  withHub(
    user
      .command('add')
      .argument('<user>', 'name or e-mail address, lower case')
      .description('add an account, and print the link by which its user chooses a password')
      .addOption(
        new Option('--role <role>', 'what the user may do').choices(roles).default('viewer'),
      ),
  ).action(async (name: string, options: Options & { role: Role }) => {
    const hub = await connectHub(options)
    printLink(hub, await hub.call('userAdd', { body: { user: name, role: options.role } }), options)
  })

  withHub(
    user
      .command('link')
      .argument('<user>', 'account')
      .description('print a one-time link by which a user chooses a (new) password'),
  ).action(async (name: string, options: Options) => {
    const hub = await connectHub(options)
    printLink(hub, await hub.call('passwordLinkCreate', { params: { user: name } }), options)
  })

  withHub(
    user
      .command('set-role')
      .argument('<user>', 'account')
      .addArgument(new Argument('<role>', 'what the user may do').choices(roles))
      .description('give an account another role; its sessions end'),
  ).action(async (name: string, role: Role, options: Options) => {
    const hub = await connectHub(options)
    const row = await hub.call('userRoleSet', { params: { user: name }, body: { role } })
    if (options.json) printJson(row)
    else console.log(`${row.user} is ${row.role}`)
  })

  withHub(
    user
      .command('remove')
      .argument('<user>', 'account')
      .description('remove an account with its sessions, links and API tokens'),
  ).action(async (name: string, options: Options) => {
    const hub = await connectHub(options)
    await hub.call('userRemove', { params: { user: name } })
    if (options.json) printJson({ user: name, removed: true })
    else console.log(`${name} is removed; its sessions and API tokens have ended`)
  })
  return user
}

function printLink(
  hub: HubClient,
  link: { user: string; token: string; expiresAt: string },
  options: Options,
): void {
  const { user, token, expiresAt } = link
  // Behind the #: browsers send that to nobody, so that no log on the way holds it.
  const url = new URL(`/choose-password?user=${encodeURIComponent(user)}#token=${token}`, hub.url)
  if (options.json) {
    printJson({ user, url: url.href, expiresAt })
    return
  }
  console.log(url.href)
  process.stderr.write(`Give this link to ${user}: it works once, until ${expiresAt}.\n`)
}
