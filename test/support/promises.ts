/**
 * What a server has promised its clients, kept on the clients' side, and the check that it holds: each 250, each
 * deletion acknowledged at QUIT, each acknowledged change of a setting.
 */
import assert from 'node:assert/strict';
import type { Cmail } from './cmail.ts';
import { collectMail } from './collect.ts';
import type { SmtpClient } from './smtp-client.ts';
import type { SmtpPeer } from './smtp-peer.ts';

export const USER = { address: 'user@local.example', password: 'long enough' };
const SETTING = 'smtp.socketTimeout';

/** A promise that was not kept. */
export class BrokenPromise extends Error {}

interface QueueEntry {
  readonly id: string;
}

export class Promises {
  readonly #cmail: Cmail;
  readonly #peer: SmtpPeer;
  /** Marker of each message that got its 250, and the queue ID in it. */
  readonly #accepted = new Map<string, string>();
  readonly #deleted = new Set<string>();
  /** Deletions asked for with QUIT and not answered: all of a session are done, or none. */
  #unanswered: string[] = [];
  #asked = 30;
  #acknowledged = 30;
  #next = 1;

  constructor(cmail: Cmail, peer: SmtpPeer) {
    this.#cmail = cmail;
    this.#peer = peer;
  }

  get acceptedCount(): number {
    return this.#accepted.size;
  }

  /** Sends one message, to the user here or to the far peer; throws when the server says anything but 250. */
  async send(client: SmtpClient, kind: 'local' | 'far'): Promise<void> {
    const marker = `${kind}-${this.#next++}`;
    const to = kind === 'local' ? USER.address : 'someone@far.example';
    const sent = await client.sendMessage({ from: 'sender@other.example', to: [to], data: content(marker) });
    assert.equal(sent.end?.code, 250, `${marker}: ${(sent.end ?? sent.rcpt[0] ?? sent.mail).text}`);
    assert.ok(sent.id, 'the 250 names the message');
    this.#accepted.set(marker, sent.id);
  }

  /** Changes a setting to a value it did not have. */
  async changeSetting(): Promise<void> {
    this.#asked = this.#asked >= 600 ? 30 : this.#asked + 1;
    await this.#cmail.set({ [SETTING]: String(this.#asked) });
    this.#acknowledged = this.#asked;
  }

  /** Takes all mail from the mailbox and deletes it there; each must be whole, new and there once. */
  async collect(): Promise<void> {
    const { address, password } = USER;
    await collectMail(this.#cmail.listeners.pop3, address, password, {
      beforeQuit: (messages) => {
        const markers = messages.map(wholeMarker);
        const back = markers.filter((marker) => this.#deleted.has(marker));
        if (back.length > 0) throw new BrokenPromise(`deleted, and there again: ${back.slice(0, 10)}`);
        const twice = markers.filter((marker, at) => markers.indexOf(marker) !== at);
        if (twice.length > 0) throw new BrokenPromise(`delivered twice: ${twice.slice(0, 10)}`);
        this.#unanswered = markers;
      },
    });
    for (const marker of this.#unanswered) this.#deleted.add(marker);
    this.#unanswered = [];
  }

  /** On the server started again: throws `BrokenPromise` unless all that was promised is so. */
  async check(): Promise<void> {
    const verified = await this.#cmail.cli(['verify']);
    if (verified.code !== 0) throw new BrokenPromise(`verify: ${verified.stdout}${verified.stderr}`);
    await this.#checkFar();
    await this.#checkLocal();
    const { value } = await this.#cmail.json<{ value: unknown }>(['settings', 'get', SETTING]);
    if (Number(value) !== this.#acknowledged && Number(value) !== this.#asked) {
      throw new BrokenPromise(`${SETTING} is ${value}, and was acknowledged as ${this.#acknowledged}`);
    }
    this.#asked = Number(value);
    this.#acknowledged = this.#asked;
  }

  /** Each is still queued or with the peer. The queue is asked first: a message leaves it only for the peer. */
  async #checkFar(): Promise<void> {
    const queue = await this.#cmail.json<QueueEntry[]>(['queue', 'list', '--limit', '10000']);
    const waiting = new Set(queue.map((entry) => entry.id));
    const arrived = new Set(this.#peer.messages.map((message) => wholeMarker(message.data)));
    const missing = [...this.#accepted].filter(
      ([marker, id]) => marker.startsWith('far-') && !waiting.has(id) && !arrived.has(marker),
    );
    broken(missing, 'neither queued nor sent');
  }

  async #checkLocal(): Promise<void> {
    const unanswered = this.#unanswered;
    this.#unanswered = [];
    await this.collect();
    const again = unanswered.filter((marker) => this.#deleted.has(marker));
    if (again.length > 0 && again.length < unanswered.length) {
      throw new BrokenPromise(`of ${unanswered.length} deletions in one session ${again.length} were undone`);
    }
    for (const marker of unanswered) this.#deleted.add(marker);
    const local = [...this.#accepted].filter(([marker]) => marker.startsWith('local-'));
    broken(
      local.filter(([marker]) => !this.#deleted.has(marker)),
      'not in the mailbox',
    );
  }

  /** Makes what waits due at once until nothing is left, then all that was accepted must have arrived. */
  async checkAllArrived(): Promise<void> {
    await emptyQueue(this.#cmail);
    await this.#checkFar();
    const ids = new Set(this.#accepted.values());
    if (ids.size !== this.#accepted.size) throw new BrokenPromise('a queue ID was given twice');
  }
}

/**
 * Makes what waits due at once, claims of an ended process included, until nothing is left or `ended`. Who ends a
 * server again and again has messages set aside that were claimed at three ends running: those are released.
 */
export async function emptyQueue(cmail: Cmail, ended: () => boolean = () => false): Promise<void> {
  const empty = async () => {
    if (ended()) throw new Error('the server has ended');
    const queue = await cmail.json<unknown[]>(['queue', 'list']);
    if (queue.length > 0) {
      await cmail.run(['queue', 'release', '--all']);
      await cmail.run(['queue', 'retry', '--all']);
    }
    return queue.length === 0;
  };
  await cmail.waitFor('an empty outgoing queue', empty, 120_000);
}

function broken(missing: readonly (readonly [string, string])[], what: string): void {
  if (missing.length === 0) return;
  const named = missing.slice(0, 10).map(([marker, id]) => `${marker} (${id})`);
  throw new BrokenPromise(`${missing.length} accepted and ${what}: ${named.join(', ')}`);
}

/** A message that can be told to be whole: mostly small, some of several pages, a few of several chunks. */
function content(marker: string): string {
  const number = Number(marker.slice(marker.lastIndexOf('-') + 1));
  const lines = number % 100 === 1 ? 20_000 : number % 10 === 2 ? 1_000 : 5;
  const head = `From: <sender@other.example>\r\nSubject: ${marker}\r\n\r\n`;
  return `${head}${`${marker} .............\r\n`.repeat(lines)}end of ${marker}\r\n`;
}

/** The marker of a message, after checking that every byte of it is there. */
export function wholeMarker(message: Buffer): string {
  const text = message.toString('latin1');
  const marker = /^Subject: (.*)$/m.exec(text)?.[1]?.trim() ?? '';
  if (!text.endsWith(content(marker))) throw new BrokenPromise(`${marker} is not whole`);
  return marker;
}
