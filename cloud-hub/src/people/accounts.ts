/** Accounts: who exists, with which role. There is always an admin. */
import {
  localUser,
  type OneTimeLink,
  Refusal,
  type Role,
  type RouteBody,
  type UserRow,
} from '@edgeloop/protocol'
import type { Transaction } from 'kysely'
import type { AuditNote } from '../audit/audit.ts'
import type { Store } from '../store/store.ts'
import type { Tables } from '../store/tables.ts'
import { roleOf } from './person.ts'
import type { Presence } from './presence.ts'
import { insertLink, mustExist } from './sessions.ts'

/** Accounts of one hub. */
const accountsMax = 1000
/** The account that a new hub begins with. */
const firstUser = 'owner'

export type Accounts = {
  list(): Promise<UserRow[]>
  /** @throws {Refusal} conflict when the name is taken or there are too many */
  add(given: RouteBody<'userAdd'>, note: AuditNote): Promise<OneTimeLink>
  /** Its sessions end. @throws {Refusal} notFound; conflict for the last admin */
  setRole(user: string, role: Role, note: AuditNote): Promise<UserRow>
  /** With its sessions, links and API tokens. @throws {Refusal} notFound; conflict for the last admin */
  remove(user: string, note: AuditNote): Promise<void>
  /** A link by which the user chooses a password; older ones end. @throws {Refusal} notFound */
  createPasswordLink(user: string, note: AuditNote): Promise<OneTimeLink>
}

/** Opens the accounts; a hub without any gets the one of its owner. */
export async function openAccounts(deps: {
  store: Store
  presence: Presence
  clock: () => number
}): Promise<Accounts> {
  const { store, presence, clock } = deps
  await store.writer.transaction().execute(async (tx) => {
    if ((await countOf(tx)) > 0) return
    await tx
      .insertInto('account')
      .values({ user_name: firstUser, role: 'admin', created_at: clock() })
      .execute()
  })

  const rows = (only?: string) =>
    store.reader
      .selectFrom('account')
      .select(['user_name', 'role', 'created_at', 'last_sign_in_at'])
      .select((e) => [
        e('password', 'is not', null).as('has_password'),
        e
          .selectFrom('session')
          .select((s) => s.fn.countAll<number>().as('count'))
          .whereRef('session.user_name', '=', 'account.user_name')
          .where('session.expires_at', '>', clock())
          .as('sessions'),
        e
          .selectFrom('api_token')
          .select((s) => s.fn.countAll<number>().as('count'))
          .whereRef('api_token.user_name', '=', 'account.user_name')
          .as('api_tokens'),
      ])
      .$if(only !== undefined, (query) => query.where('user_name', '=', only ?? ''))
      .orderBy('user_name')
      .limit(accountsMax)

  const show = async (only?: string): Promise<UserRow[]> =>
    (await rows(only).execute()).map((row) => ({
      user: row.user_name,
      role: roleOf(row.role),
      hasPassword: Boolean(row.has_password),
      createdAt: new Date(row.created_at).toISOString(),
      lastSignInAt:
        row.last_sign_in_at === null ? null : new Date(row.last_sign_in_at).toISOString(),
      sessions: Number(row.sessions),
      apiTokens: Number(row.api_tokens),
    }))

  return {
    list: () => show(),

    add: async ({ user, role }, note) => {
      if (user === localUser) {
        throw new Refusal(
          'conflict',
          `Cannot add "${localUser}": the machine's own token goes by that name. Choose another`,
        )
      }
      note.about({ target: user, detail: role })
      return await store.writer.transaction().execute(async (tx) => {
        if ((await countOf(tx)) >= accountsMax) {
          throw new Refusal('conflict', `Cannot add "${user}": this hub holds ${accountsMax} users`)
        }
        const added = await tx
          .insertInto('account')
          .values({ user_name: user, role, created_at: clock() })
          .onConflict((on) => on.column('user_name').doNothing())
          .executeTakeFirst()
        if (added.numInsertedOrUpdatedRows === 0n) {
          throw new Refusal('conflict', `Cannot add "${user}": there is a user of that name`)
        }
        await note.within(tx)
        return await insertLink(tx, user, 'password', clock())
      })
    },

    setRole: async (user, role, note) => {
      const changed = await store.writer.transaction().execute(async (tx) => {
        await mustExist(tx, user)
        if (role !== 'admin') await mustNotBeLastAdmin(tx, user, `give "${user}" the role ${role}`)
        const before = await tx
          .selectFrom('account')
          .select('role')
          .where('user_name', '=', user)
          .executeTakeFirstOrThrow()
        note.about({ detail: `${before.role} → ${role}` })
        await note.within(tx)
        if (before.role === role) return false
        await tx.updateTable('account').set({ role }).where('user_name', '=', user).execute()
        await tx.deleteFrom('session').where('user_name', '=', user).execute()
        return true
      })
      if (changed) presence.endUser(user)
      const [row] = await show(user)
      if (!row) throw new Refusal('notFound', `Cannot find the user "${user}"`)
      return row
    },

    remove: async (user, note) => {
      await store.writer.transaction().execute(async (tx) => {
        await mustExist(tx, user)
        await mustNotBeLastAdmin(tx, user, `remove "${user}"`)
        await note.within(tx)
        // Sessions, links and API tokens go with it: their rows refer to it.
        await tx.deleteFrom('account').where('user_name', '=', user).execute()
      })
      presence.endUser(user)
    },

    createPasswordLink: async (user, note) =>
      await store.writer.transaction().execute(async (tx) => {
        await mustExist(tx, user)
        await note.within(tx)
        await tx
          .deleteFrom('sign_in_token')
          .where('user_name', '=', user)
          .where('purpose', '=', 'password')
          .execute()
        return await insertLink(tx, user, 'password', clock())
      }),
  }
}

async function countOf(tx: Transaction<Tables>): Promise<number> {
  const { count } = await tx
    .selectFrom('account')
    .select((e) => e.fn.countAll<number>().as('count'))
    .executeTakeFirstOrThrow()
  return Number(count)
}

async function mustNotBeLastAdmin(
  tx: Transaction<Tables>,
  user: string,
  what: string,
): Promise<void> {
  // Changes nothing, and makes another hub on the same store wait that would take a role away meanwhile.
  await tx.updateTable('account').set({ role: 'admin' }).where('role', '=', 'admin').execute()
  const admins = await tx
    .selectFrom('account')
    .select('user_name')
    .where('role', '=', 'admin')
    .limit(2)
    .execute()
  if (admins.length > 1 || admins[0]?.user_name !== user) return
  throw new Refusal(
    'conflict',
    `Cannot ${what}: it is the last admin. Make somebody else an admin first`,
  )
}
