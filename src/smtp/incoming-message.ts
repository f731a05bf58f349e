import type { Reply } from '../mail/reply.ts';
import { DataDecoder } from './data-decoder.ts';
import type { ReceiverPolicy } from './receiver-contract.ts';
import { BARE_NEWLINE, TOO_LARGE } from './receiver-replies.ts';

/** A message while its bytes come: what it holds, and whether it is already known to be refused. */
export class IncomingMessage {
  readonly #decoder: DataDecoder;
  #limitBytes = Number.POSITIVE_INFINITY;
  #tooLarge = false;

  constructor(chunking: boolean, policy: ReceiverPolicy) {
    this.#decoder = new DataDecoder(chunking ? 'chunked' : 'dotted', policy.bareNewline);
    this.limit(policy);
  }

  /** Takes over the size limit in force now; `announcedBytes` are about to come (BDAT). */
  limit(policy: ReceiverPolicy, announcedBytes = 0): void {
    this.#limitBytes = sizeLimit(policy);
    this.#checkSize(announcedBytes);
  }

  get sizeBytes(): number {
    return this.#decoder.sizeBytes;
  }

  get eightBit(): boolean {
    return this.#decoder.eightBit;
  }

  /** The end mark of DATA was read; `takeRest()` has what follows it. */
  get finished(): boolean {
    return this.#decoder.finished;
  }

  get tooLarge(): boolean {
    return this.#tooLarge;
  }

  get pendingBytes(): number {
    return this.#decoder.pendingBytes;
  }

  /** Why the message is refused, or null. Size comes first, so that it does not matter which showed first. */
  get failure(): Reply | null {
    if (this.#tooLarge) return TOO_LARGE;
    return this.#decoder.refused ? BARE_NEWLINE : null;
  }

  write(bytes: Buffer): void {
    this.#decoder.write(bytes);
  }

  /** The next piece to hand on; null when all that was written is used up, or nothing of it is wanted. */
  read(): Buffer | null {
    for (;;) {
      const piece = this.#decoder.read();
      this.#checkSize(0);
      if (piece === null || this.failure === null) return piece;
    }
  }

  /** The end of the last chunk: what is left to hand on. */
  finish(): Buffer | null {
    const piece = this.#decoder.finish();
    this.#checkSize(0);
    return this.failure === null ? piece : null;
  }

  takeRest(): Buffer {
    return this.#decoder.takeRest();
  }

  #checkSize(announcedBytes: number): void {
    if (this.#decoder.sizeBytes + announcedBytes > this.#limitBytes) this.#tooLarge = true;
  }
}

/** The largest message taken; Infinity without a limit. */
export function sizeLimit(policy: ReceiverPolicy): number {
  return policy.maxMessageBytes === 0 ? Number.POSITIVE_INFINITY : policy.maxMessageBytes;
}
