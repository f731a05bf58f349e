/** Mail through several nodes at once, and the account of what became of each message. */
import assert from 'node:assert/strict';
import { setTimeout as sleep } from 'node:timers/promises';
import { collectMail } from './collect.ts';
import type { TestNode } from './nodes.ts';
import { greeted, type SmtpClient } from './smtp-client.ts';
import type { PeerScript, SmtpPeer } from './smtp-peer.ts';

/** Outward destinations, so that every node owns some. */
export const FAR_DOMAINS = Array.from({ length: 9 }, (_, n) => `far${n}.example`);
export const LOCAL_USER = { address: 'user@local.example', password: 'long enough' };
export const SENDER = { address: 'sender@local.example', password: 'long enough' };

const SESSIONS = 12;
const PAUSE_MS = 50;
/** Every fifth message is for a mailbox, the others leave. */
const LOCAL_EVERY = 5;

export interface Load {
  /** Markers of what got its 250. */
  readonly accepted: Set<string>;
  /** Sent to the final dot without an answer: either is right. */
  readonly unanswered: Set<string>;
  /** Put off by the reply to the final dot: when the database died meanwhile, it may hold the message all the same. */
  readonly putOffAtEnd: Set<string>;
  /** Replies 4yz, which a client answers by trying again. */
  putOff: number;
  /** Connections that could not be had or were lost. */
  lost: number;
}

export function newLoad(): Load {
  return { accepted: new Set(), unanswered: new Set(), putOffAtEnd: new Set(), putOff: 0, lost: 0 };
}

export interface LoadOptions {
  readonly messages: number;
  /** Part of each marker, so that two loads are told apart. */
  readonly label: string;
  /** Called after each 250 with their number; what it returns is not waited for. */
  readonly onAccepted?: (count: number) => void;
  readonly bodyBytes?: number;
}

/**
 * Sends until `messages` have got their 250 (or stayed unanswered). A session stays with a node until that fails,
 * and then goes to the next, as behind a balancer. Anything but 250 and 4yz is an error.
 */
export async function sendLoad(nodes: readonly TestNode[], load: Load, options: LoadOptions): Promise<void> {
  let next = 0;
  const take = (): string | null => {
    if (next >= options.messages) return null;
    next += 1;
    return `${next % LOCAL_EVERY === 0 ? 'local' : 'far'}-${options.label}-${next}`;
  };
  const session = async (number: number): Promise<void> => {
    let at = number;
    let client: SmtpClient | null = null;
    let marker = take();
    while (marker !== null) {
      const node = nodes[at % nodes.length];
      assert.ok(node);
      client ??= await open(node, load);
      if (client === null) {
        at += 1;
        await sleep(PAUSE_MS);
        continue;
      }
      const became = await sendOne(client, marker, load, options.bodyBytes ?? 300);
      if (became === 'done') {
        options.onAccepted?.(load.accepted.size);
        marker = take();
      } else if (became === 'put off') {
        await sleep(PAUSE_MS);
      } else {
        if (became === 'unanswered') marker = take();
        client = null;
        at += 1;
      }
      if (client?.closed) client = null;
    }
    client?.destroy();
  };
  await Promise.all(Array.from({ length: SESSIONS }, (_, number) => session(number)));
}

async function open(node: TestNode, load: Load): Promise<SmtpClient | null> {
  try {
    return await greeted({ ...node.cmail.listeners.smtp, replyLimitMs: 60_000 });
  } catch {
    load.lost += 1;
    return null;
  }
}

type Became = 'done' | 'put off' | 'lost' | 'unanswered';

async function sendOne(client: SmtpClient, marker: string, load: Load, bytes: number): Promise<Became> {
  let dotSent = false;
  try {
    for (const line of [`MAIL FROM:<${SENDER.address}>`, `RCPT TO:<${recipientOf(marker)}>`, 'DATA']) {
      const reply = await client.command(line);
      if (reply.code < 400) continue;
      assert.ok(reply.code < 500, `${marker}, ${line}: ${reply.code} ${reply.text}`);
      load.putOff += 1;
      if (reply.code === 421) return 'lost';
      await client.command('RSET');
      return 'put off';
    }
    dotSent = true;
    await client.write(`${content(marker, bytes)}.\r\n`);
    const end = await client.reply();
    if (end.code === 250) {
      load.accepted.add(marker);
      return 'done';
    }
    assert.ok(end.code >= 400 && end.code < 500, `${marker}: ${end.code} ${end.text}`);
    load.putOff += 1;
    load.putOffAtEnd.add(marker);
    return end.code === 421 ? 'lost' : 'put off';
  } catch (error) {
    if (error instanceof assert.AssertionError) throw error;
    load.lost += 1;
    client.destroy();
    if (dotSent) load.unanswered.add(marker);
    return dotSent ? 'unanswered' : 'lost';
  }
}

function recipientOf(marker: string): string {
  if (marker.startsWith('local-')) return LOCAL_USER.address;
  const number = Number(marker.slice(marker.lastIndexOf('-') + 1));
  return `someone@${FAR_DOMAINS[number % FAR_DOMAINS.length]}`;
}

/** A message that can be told to be whole. */
function content(marker: string, bytes: number): string {
  const line = `${marker} .............\r\n`;
  const body = line.repeat(Math.max(1, Math.round(bytes / line.length)));
  return `From: <${SENDER.address}>\r\nSubject: ${marker}\r\n\r\n${body}end of ${marker}\r\n`;
}

/** The marker of a whole message. */
export function markerOf(data: Buffer): string {
  const text = data.toString('latin1');
  const marker = /^Subject: (.*)$/m.exec(text)?.[1] ?? '';
  assert.ok(text.endsWith(`end of ${marker}\r\n`), `${marker} is not whole`);
  return marker;
}

/** Collects a mailbox by POP3 from a node that lives. */
export async function collectMarkers(
  node: TestNode,
  account: { readonly address: string; readonly password: string },
): Promise<string[]> {
  const mail = await collectMail(node.cmail.listeners.pop3, account.address, account.password);
  return mail.map(markerOf);
}

/** Makes what waits due at once until nothing is left. */
export async function emptyQueue(node: TestNode, limitMs = 180_000): Promise<void> {
  const isEmpty = async () => {
    const { queue } = await node.cmail.json<{ queue: { queued: number; sending: number; held: number } }>([
      'status',
    ]);
    if (queue.queued > 0) await node.cmail.run(['queue', 'retry', '--all']);
    return queue.queued + queue.sending + queue.held === 0;
  };
  await node.cmail.waitFor('an empty outgoing queue', isEmpty, limitMs);
}

export interface Delivery {
  readonly marker: string;
  /** Name the node gave in EHLO. */
  readonly by: string;
  /** `performance.now()` of the peer's 250. */
  readonly atMs: number;
}

export interface DeliveryRecord {
  all(): Delivery[];
  /** What the peer does from now on. */
  script(script: PeerScript): void;
}

/** Records when the peer takes each message; call it before the first. */
export function recordDeliveries(peer: SmtpPeer, first: PeerScript = {}): DeliveryRecord {
  const times: number[] = [];
  const script = (next: PeerScript) =>
    peer.script({ ...next, beforeTaken: () => times.push(performance.now()) });
  script(first);
  return {
    script,
    all: () =>
      peer.messages.map((message, n) => ({
        marker: markerOf(message.data),
        by: message.session.helo ?? '',
        atMs: times[n] ?? 0,
      })),
  };
}

export interface Duplicate {
  readonly first: Delivery;
  readonly again: Delivery;
}

export function duplicatesOf(deliveries: readonly Delivery[]): Duplicate[] {
  const seen = new Map<string, Delivery>();
  const found: Duplicate[] = [];
  for (const again of deliveries) {
    const first = seen.get(again.marker);
    if (first === undefined) seen.set(again.marker, again);
    else found.push({ first, again });
  }
  return found;
}

/** Nothing accepted is missing; `delivered` may hold more (what stayed unanswered). */
export function assertNoneMissing(load: Load, delivered: ReadonlySet<string>): void {
  const missing = [...load.accepted].filter((marker) => !delivered.has(marker));
  assert.equal(missing.length, 0, `${missing.length} accepted and not delivered: ${missing.slice(0, 10)}`);
}
