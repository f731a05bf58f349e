/**
 * Deliveries the store has not recorded yet. Trouble with the disk can outlast a lease; the message is then
 * claimed again, and must not be sent a second time to those who have it.
 */
import type { MessageId } from '../mail/message-id.ts';
import type { Claim, NewEvent, RecipientOutcome, SettleInput } from '../storage/contract.ts';

/** Recipients remembered; beyond, the oldest may get a message twice. */
const LIMIT = 100_000;

interface Delivered {
  readonly destination: string;
  readonly outcome: RecipientOutcome;
  readonly event: NewEvent | null;
}

export class Unrecorded {
  readonly #limit: number;
  /** By message and recipient, the oldest first. */
  readonly #delivered = new Map<string, Delivered>();

  constructor(limit = LIMIT) {
    this.#limit = limit;
  }

  /** Remembers what was delivered before it is recorded. */
  note({ message, destination }: Claim, { outcomes, events }: SettleInput): void {
    const addresses = new Map(message.recipients.map(({ index, address }) => [index, address]));
    const told = new Map(
      events.filter(({ kind }) => kind === 'delivered').map((event) => [event.recipient, event]),
    );
    for (const outcome of outcomes) {
      if (outcome.result.type !== 'delivered') continue;
      const event = told.get(addresses.get(outcome.index) ?? null) ?? null;
      this.#delivered.set(keyOf(message.id, outcome.index), { destination, outcome, event });
    }
    for (const key of this.#delivered.keys()) {
      if (this.#delivered.size <= this.#limit) break;
      this.#delivered.delete(key);
    }
  }

  /** Where something was delivered that is not recorded. */
  destinations(): ReadonlySet<string> {
    return new Set([...this.#delivered.values()].map(({ destination }) => destination));
  }

  /** It is recorded. */
  forget({ message }: Claim): void {
    for (const { index } of message.recipients) this.#delivered.delete(keyOf(message.id, index));
  }

  /** What is to be recorded for a claim that holds deliveries made before; its other recipients are due again. */
  settlement({ token, message }: Claim): SettleInput | null {
    if (this.#delivered.size === 0) return null;
    const known = message.recipients.map(({ index }) => this.#delivered.get(keyOf(message.id, index)));
    if (!known.some((one) => one !== undefined)) return null;
    const outcomes = message.recipients.map(
      ({ index }, n): RecipientOutcome =>
        known[n]?.outcome ?? {
          index,
          result: { type: 'returned' },
          via: null,
          lastReply: null,
          lastKind: null,
        },
    );
    return { token, outcomes, events: known.flatMap((one) => one?.event ?? []), notices: [] };
  }
}

function keyOf(id: MessageId, index: number): string {
  return `${id}/${index}`;
}
