/** The version of this checkout, as its package.json says. */
import packageJson from '../../package.json' with { type: 'json' }

export const version: string = packageJson.version
