/**
 * Which addresses the hub connects to because somebody wrote them into a form. Everything that is not the public
 * internet is refused unless an admin listed it, and what was checked is what is connected to: a name is resolved
 * once, and the connection goes to the address that came out, so that a name cannot mean something else a moment later.
 */
import { lookup } from 'node:dns/promises'
import { BlockList, isIP } from 'node:net'

export type Address = { readonly address: string; readonly family: 4 | 6 }
export type Resolve = (host: string) => Promise<readonly Address[]>

/** Asks the system, which also knows its hosts file. */
export const systemResolve: Resolve = async (host) =>
  (await lookup(host, { all: true, verbatim: true })) as Address[]

/** Thrown where the hub does not connect; trying again changes nothing. */
export class AddressRefused extends Error {
  override readonly name = 'AddressRefused'
}

/** Most addresses of one name that are looked at. */
const addressesMax = 32

/**
 * Not public, and why (IANA's registries of special-purpose addresses, RFC 6890 and its updates). Addresses that hold
 * an IPv4 address inside are refused whole where a translator might unpack it.
 */
const special: readonly (readonly [range: string, why: string, never?: 'never'])[] = [
  ['0.0.0.0/8', 'this network'],
  ['10.0.0.0/8', 'private'],
  ['100.64.0.0/10', 'shared by a carrier'],
  ['127.0.0.0/8', 'this machine'],
  ['169.254.0.0/16', 'link-local, where clouds keep credentials', 'never'],
  ['172.16.0.0/12', 'private'],
  ['192.0.0.0/24', 'reserved'],
  ['192.0.2.0/24', 'for documentation'],
  ['192.88.99.0/24', 'a relay'],
  ['192.168.0.0/16', 'private'],
  ['198.18.0.0/15', 'for benchmarks'],
  ['198.51.100.0/24', 'for documentation'],
  ['203.0.113.0/24', 'for documentation'],
  ['224.0.0.0/4', 'multicast', 'never'],
  ['240.0.0.0/4', 'reserved or broadcast', 'never'],
  ['::/128', 'no address'],
  ['::1/128', 'this machine'],
  ['::/96', 'an old form of IPv4'],
  ['64:ff9b::/96', 'IPv4 behind a translator'],
  ['64:ff9b:1::/48', 'IPv4 behind a translator'],
  ['100::/64', 'discarded'],
  ['2001::/23', 'for protocols, Teredo among them'],
  ['2001:db8::/32', 'for documentation'],
  ['2002::/16', 'IPv4 behind a relay'],
  ['3fff::/20', 'for documentation'],
  ['5f00::/16', 'segment routing'],
  // The service of 169.254.169.254 over IPv6.
  ['fd00:ec2::254/128', 'where clouds keep credentials', 'never'],
  ['fc00::/7', 'private'],
  ['fe80::/10', 'link-local', 'never'],
  ['fec0::/10', 'site-local'],
  ['ff00::/8', 'multicast', 'never'],
]

const lists = special.map(([range, why, never]) => ({
  list: listOf([range]),
  why,
  never: never !== undefined,
}))

/**
 * The address to connect to for a host.
 * @param host as a URL's `hostname` or a form has it; an IPv6 address with or without brackets
 * @param allow addresses, ranges and names that an admin listed. A listed name may stand for private addresses and this
 * machine; link-local, multicast and reserved ones have to be listed as addresses
 * @throws {AddressRefused} when one of its addresses is not public and not listed
 * @throws {Error} when the name cannot be resolved
 */
export async function addressFor(
  host: string,
  allow: readonly string[] = [],
  resolve: Resolve = systemResolve,
): Promise<Address> {
  const name = host
    .replace(/^\[(.*)\]$/, '$1')
    .replace(/\.$/, '')
    .toLowerCase()
  const family = isIP(name)
  const found = family !== 0 ? [{ address: name, family: family as 4 | 6 }] : await resolve(name)
  const [first] = found
  if (!first) throw new Error(`Cannot connect to "${name}": the name has no address`)
  const byName = allow.some((one) => one.toLowerCase().replace(/\.$/, '') === name)
  const byAddress = listOf(allow.filter((one) => isIP(one.split('/')[0] ?? '') !== 0))
  for (const { address, family } of found.slice(0, addressesMax)) {
    // `fe80::1%eth0` names a wire of this machine.
    const plain = address.split('%')[0] ?? ''
    const kind = family === 6 ? 'ipv6' : 'ipv4'
    const hit = lists.find(({ list }) => list.check(plain, kind))
    if (!hit || byAddress.check(plain, kind) || (byName && !hit.never)) continue
    const shown = plain === name ? `"${name}"` : `"${name}", which is ${plain}`
    throw new AddressRefused(
      `Cannot connect to ${shown}: the address is not public (${hit.why}). An admin can list it in "allow" of the receiver`,
    )
  }
  return first
}

/** @throws {Error} for a word that is neither an address, a range nor a name */
export function checkAllowed(allow: readonly string[]): void {
  for (const word of allow) {
    const [address = '', bits, ...rest] = word.split('/')
    const family = isIP(address)
    const isName =
      family === 0 && bits === undefined && /^[a-z0-9_](?:[a-z0-9_.-]{0,252})$/i.test(word)
    const isRange =
      family !== 0 &&
      rest.length === 0 &&
      (bits === undefined || (/^\d{1,3}$/.test(bits) && Number(bits) <= (family === 4 ? 32 : 128)))
    if (isName || isRange) continue
    throw new Error(
      `Cannot allow "${word}": write an address, a range such as 10.1.0.0/16, or the name of a host`,
    )
  }
}

function listOf(ranges: readonly string[]): BlockList {
  const list = new BlockList()
  for (const range of ranges) {
    const [address = '', bits] = range.split('/')
    const family = isIP(address) === 6 ? 'ipv6' : 'ipv4'
    if (bits === undefined) list.addAddress(address, family)
    else list.addSubnet(address, Number(bits), family)
  }
  return list
}
