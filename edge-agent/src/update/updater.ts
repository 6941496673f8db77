/**
 * The updates of all models of this box. Each model goes its own way; they share the hub, the disk and what is signed.
 * What the hub wants comes as one message, whole; what is told of it goes as one.
 */
import { type Offer, type Offers, type Update, updateStates } from '@edgeloop/protocol'
import type { Candidate } from './model-host.ts'
import { ModelUpdates, type UpdateParts } from './model-updates.ts'

/** Most models that are kept; offers of more are not taken up. */
const modelsMax = 64
/** What a message has room for. */
const updatesMax = 16

export class Updater {
  readonly #parts: UpdateParts
  readonly #models = new Map<string, ModelUpdates>()
  #offers: Offers | undefined
  /** What somebody has brought here. */
  #carried: readonly Offer[] = []
  /** Every model knows what the hub wants. */
  #isTaken = true
  /** Offers are taken one after the other. */
  #taking: Promise<void> = Promise.resolve()
  #start: ((model: ModelUpdates) => void) | undefined

  private constructor(parts: UpdateParts) {
    this.#parts = parts
  }

  /** Finds what is on the disk, and makes good what a power cut has left; the agent starts with that. */
  static async open(parts: UpdateParts): Promise<Updater> {
    const updater = new Updater(parts)
    for (const name of await parts.disk.list('models')) {
      updater.#models.set(name, await ModelUpdates.open(parts, name))
    }
    return updater
  }

  /** Models that came by updates and that frames belong to. */
  async delivered(): Promise<Candidate[]> {
    const found: Candidate[] = []
    for (const model of this.#models.values()) {
      const candidate = await model.active()
      if (candidate) found.push(candidate)
    }
    return found
  }

  /** Everything that is to be told of updates, the newest last where there is no room for all. */
  get told(): Update[] {
    const isOpen = ({ state }: Update) => updateStates[state].kind === 'active'
    return [...this.#models.values()]
      .flatMap(({ told }) => told)
      .sort(
        (one, other) =>
          Number(isOpen(one)) - Number(isOpen(other)) || one.since.localeCompare(other.since),
      )
      .slice(-updatesMax)
  }

  /** Nothing is under way, and nothing will be before something changes. */
  get isAtRest(): boolean {
    return this.#isTaken && [...this.#models.values()].every(({ isAtRest }) => isAtRest)
  }

  /** Which version of a model a file is; 0 where it came by no update. */
  versionOf(name: string, digest: string): number {
    return this.#models.get(name)?.versionOf(digest) ?? 0
  }

  /** Files of encodings that other boxes can have, by digest. */
  get shared(): ReadonlyMap<string, string> {
    const found = [...this.#models.values()].flatMap(({ shared }) => shared ?? [])
    return new Map(found.map(({ digest, path }) => [digest, path]))
  }

  /** Takes what the hub wants, as a whole: what is no longer in it is given up. */
  take(offers: Offers): void {
    this.#offers = offers
    this.#take()
  }

  /** Takes what was carried here, as a whole, beside what the hub wants. */
  carry(offers: readonly Offer[]): void {
    this.#carried = offers
    this.#take()
  }

  /** Whether an update by an offer has come to an end on this box; also where it could not be taken up at all. */
  isAnswered(offer: Offer): boolean {
    const model = this.#models.get(offer.name)
    return model ? model.isAnswered(offer) : this.#isTaken
  }

  #take(): void {
    this.#isTaken = false
    const [offers, carried] = [this.#offers, this.#carried]
    this.#taking = this.#taking.then(() => this.#spread(offers, carried))
  }

  async #spread(offers: Offers | undefined, carried: readonly Offer[]): Promise<void> {
    for (const { name } of [...(offers?.offers ?? []), ...carried]) {
      if (this.#models.has(name)) continue
      if (this.#models.size >= modelsMax) {
        this.#parts.log.warn({ model: name }, 'An offer is not taken up: too many models are here')
        continue
      }
      try {
        const model = await ModelUpdates.open(this.#parts, name)
        this.#models.set(name, model)
        this.#start?.(model)
      } catch (error) {
        const why = (error as Error).message
        this.#parts.log.error({ model: name, why }, 'An offer cannot be taken up')
      }
    }
    if (offers !== this.#offers || carried !== this.#carried) return
    this.#isTaken = true
    for (const model of this.#models.values()) {
      const isOfIt = ({ name }: Offer) => name === model.name
      model.offer(offers?.offers.filter(isOfIt), carried.filter(isOfIt))
    }
  }

  /** Performs what is to be done until the signal aborts; then nothing of it is under way. */
  async run(signal: AbortSignal): Promise<void> {
    const running: Promise<void>[] = []
    this.#start = (model) => {
      if (!signal.aborted) running.push(model.run(signal))
    }
    for (const model of this.#models.values()) this.#start(model)
    await new Promise<void>((resolve) => {
      if (signal.aborted) resolve()
      else signal.addEventListener('abort', () => resolve(), { once: true })
    })
    await this.#taking
    await Promise.all(running)
  }
}
