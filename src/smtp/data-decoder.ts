import { isAscii } from 'node:buffer';

const EMPTY = Buffer.alloc(0);
const CRLF = Buffer.from('\r\n');
const CR = 0x0d;
const LF = 0x0a;
const DOT = 0x2e;

/*
 * The places in a run of text where something must be decided: a dot that begins a line, a CR or LF that is
 * not part of CRLF (a CR that ends the run among them, its LF may come yet). One compiled expression over a
 * whole read is several times faster than a loop over bytes or a native search for each line.
 */
const DOTTED_EVENT = /\r\n\.|\r(?!\n)|(?<!\r)\n/g;
const CHUNKED_EVENT = /\r(?!\n)|(?<!\r)\n/g;

/** How the end of a message is known: `dotted` for DATA (RFC 5321 §4.1.1.4), `chunked` for BDAT (RFC 3030). */
export type Framing = 'dotted' | 'chunked';

/**
 * Where the decoder stands between two bytes. `line-start`: after a true CRLF or at the beginning; `cr`: a
 * CR is held back until the next byte tells what it is; `dot`, `dot-cr`: a line that began with a dot, and
 * then CR.
 */
type State = 'line-start' | 'text' | 'cr' | 'dot' | 'dot-cr';

/**
 * Turns what a client sends after DATA or in BDAT chunks into message content: finds the end mark
 * CRLF.CRLF and nothing else, removes the dots of transparency (RFC 5321 §4.5.2), and refuses or repairs CR
 * and LF outside CRLF. Only CRLF begins a line, so a dot after a repaired newline is content and stays.
 *
 * Use: `write` bytes, `read` pieces until null, again. Pieces are views of the bytes written.
 */
export class DataDecoder {
  /** The end mark was read (`dotted` only); what follows it is `takeRest()`. */
  finished = false;
  /** Content so far, dots and end mark not counted; exact also when it is refused. */
  sizeBytes = 0;
  /** A piece had a byte above 127. */
  eightBit = false;
  /** A CR or LF outside CRLF was met. */
  bareNewline = false;

  readonly #dotted: boolean;
  readonly #normalise: boolean;
  #bytes: Buffer = EMPTY;
  #text = '';
  #at = 0;
  #state: State = 'line-start';

  constructor(framing: Framing, bareNewline: 'refuse' | 'normalise') {
    this.#dotted = framing === 'dotted';
    this.#normalise = bareNewline === 'normalise';
  }

  /** A bare newline was met and is not to be repaired: no more pieces come, only the end is sought. */
  get refused(): boolean {
    return this.bareNewline && !this.#normalise;
  }

  /** Bytes written and not yet read. */
  get pendingBytes(): number {
    return this.#bytes.length - this.#at;
  }

  /** Takes the next bytes without copying; those before must have been read. */
  write(bytes: Buffer): void {
    this.#bytes = bytes;
    this.#text = bytes.toString('latin1');
    this.#at = 0;
  }

  /** The next piece of content, or null when more bytes are needed or the message has ended. */
  read(): Buffer | null {
    while (!this.finished && this.#at < this.#bytes.length) {
      const piece = this.#state === 'text' ? this.#readText() : this.#readByte();
      if (this.#count(piece)) return piece;
    }
    if (!this.finished) this.#release();
    return null;
  }

  /**
   * The end of the last chunk (`chunked` only). Returns what the content lacks: a CR held back, or the CRLF
   * of a last line without one, since neither a mailbox nor DATA can carry such a line.
   */
  finish(): Buffer | null {
    if (this.#state === 'line-start') return null;
    if (this.#state === 'cr') this.bareNewline = true;
    this.#state = 'line-start';
    return this.#count(CRLF) ? CRLF : null;
  }

  /** The bytes after the end mark. */
  takeRest(): Buffer {
    const rest = this.#bytes.subarray(this.#at);
    this.#release();
    return rest;
  }

  #release(): void {
    this.#bytes = EMPTY;
    this.#text = '';
    this.#at = 0;
  }

  /** Counts a piece; true when there is something to hand on. */
  #count(piece: Buffer): boolean {
    if (piece.length === 0) return false;
    this.sizeBytes += piece.length;
    if (this.refused) return false;
    if (!this.eightBit) this.eightBit = !isAscii(piece);
    return true;
  }

  /** One step in a state that depends on the very next byte. */
  #readByte(): Buffer {
    const byte = this.#bytes[this.#at];
    if (this.#state === 'line-start') return this.#enter(byte === DOT && this.#dotted ? 'dot' : null);
    if (this.#state === 'dot') return this.#enter(byte === CR ? 'dot-cr' : null);
    if (byte !== LF) return this.#bareNewline();
    this.#at += 1;
    if (this.#state === 'cr') {
      this.#state = 'line-start';
      return CRLF;
    }
    this.finished = true;
    return EMPTY;
  }

  /** Consumes the byte into `state`, or with null leaves it to be read as text. */
  #enter(state: State | null): Buffer {
    if (state !== null) this.#at += 1;
    this.#state = state ?? 'text';
    return EMPTY;
  }

  /** Text up to the next event, or the event at the present place. */
  #readText(): Buffer {
    const start = this.#at;
    const event = this.#dotted ? DOTTED_EVENT : CHUNKED_EVENT;
    event.lastIndex = start;
    if (!event.test(this.#text)) {
      this.#at = this.#bytes.length;
      // A bare LF would have been an event, so this one ends a CRLF.
      if (this.#bytes[this.#at - 1] === LF) this.#state = 'line-start';
      return this.#bytes.subarray(start);
    }
    const end = event.lastIndex;
    const last = this.#bytes[end - 1];
    if (last === DOT) {
      this.#at = end;
      this.#state = 'dot';
      return this.#bytes.subarray(start, end - 1);
    }
    this.#at = end - 1;
    if (last === CR && end === this.#bytes.length) {
      this.#at = end;
      this.#state = 'cr';
    } else if (this.#at === start) {
      this.#at = end;
      return this.#bareNewline();
    }
    return this.#bytes.subarray(start, end - 1);
  }

  /** A CR or LF alone: the newline that stands for it, for `#count` alone when it is refused. */
  #bareNewline(): Buffer {
    this.bareNewline = true;
    // In DATA a dot after it must not be taken for transparency; in BDAT it only ends the line.
    this.#state = this.#dotted ? 'text' : 'line-start';
    return this.#normalise ? CRLF : CRLF.subarray(1);
  }
}
