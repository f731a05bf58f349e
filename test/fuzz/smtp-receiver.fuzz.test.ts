/**
 * Mutation fuzzer of the receiving session. Runs CMAIL_FUZZ_SECONDS (2) from CMAIL_FUZZ_SEED (random, printed)
 * over the sessions in `corpus/`. What holds for every input:
 * - nothing throws, and the driver's own checks pass: replies well-formed, memory bounded, no body beyond the
 *   limit or outside a message, no action after close;
 * - the same bytes in other reads give the same replies, actions and messages;
 * - the session is never stuck: it can always be brought to answer, unless a chunk is still owed.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { ReceiverPolicy } from '../../src/smtp/receiver-contract.ts';
import {
  corpus,
  Driver,
  LOCAL,
  type Outcome,
  POLICY,
  SUBMISSION,
  segments,
  TLS_MARK,
  TLS_READY,
} from '../unit/smtp-receiver-driver.ts';

const MAX_SESSION_BYTES = 20_000;
const POLICIES: readonly ReceiverPolicy[] = [
  POLICY,
  { ...POLICY, bareNewline: 'normalise' },
  { ...POLICY, maxMessageBytes: 0, maxRecipients: 1, maxErrors: 1000 },
  SUBMISSION,
  { ...LOCAL, maxErrors: 1000 },
];
const MORSELS = [
  '\r',
  '\n',
  '\r\n',
  '\0',
  '.',
  '\r\n.\r\n',
  '\n.\n',
  '\r.\r',
  '\r\n.\r',
  '\xff',
  '"',
  '<',
  '>',
  '@',
  ' LAST',
  'STARTTLS\r\n',
  'AUTH PLAIN AGEAcGFzcw==\r\n',
  'AUTH LOGIN\r\n',
  '*\r\n',
  '=',
  TLS_MARK,
  'BDAT 3\r\n',
  'DATA\r\n',
  'RSET\r\n',
  'QUIT\r\n',
  ' SMTPUTF8',
  'x'.repeat(2048),
].map((text) => Buffer.from(text, 'latin1'));

type Random = (below: number) => number;

/** Mulberry32: small, and the same everywhere for one seed. */
function randomFrom(seed: number): Random {
  let state = seed >>> 0;
  return (below) => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) % below;
  };
}

type Mutation = (bytes: Buffer, random: Random, other: Buffer) => Buffer;

function replaced(bytes: Buffer, from: number, to: number, by: Buffer): Buffer {
  return Buffer.concat([bytes.subarray(0, from), by, bytes.subarray(to)]);
}

/** Two places in order. */
function range(bytes: Buffer, random: Random): [number, number] {
  const from = random(bytes.length + 1);
  return [from, Math.min(bytes.length, from + random(80))];
}

const MUTATIONS: readonly Mutation[] = [
  function flipBit(bytes, random) {
    const changed = Buffer.from(bytes);
    if (changed.length > 0) changed[random(changed.length)]! ^= 1 << random(8);
    return changed;
  },
  function splice(bytes, random, other) {
    const [from, to] = range(bytes, random);
    return replaced(bytes, from, to, other.subarray(...range(other, random)));
  },
  function damageNewline(bytes, random) {
    const at = bytes.indexOf('\r\n', random(bytes.length + 1));
    return at === -1 ? bytes : replaced(bytes, at + random(2), at + 1 + random(2), MORSELS[random(4)]!);
  },
  function truncate(bytes, random) {
    return bytes.subarray(0, random(bytes.length + 1));
  },
  function remove(bytes, random) {
    return replaced(bytes, ...range(bytes, random), Buffer.alloc(0));
  },
  function duplicate(bytes, random) {
    const [from, to] = range(bytes, random);
    return replaced(bytes, to, to, bytes.subarray(from, to));
  },
  function insert(bytes, random) {
    const at = random(bytes.length + 1);
    return replaced(bytes, at, at, MORSELS[random(MORSELS.length)]!);
  },
  function append(bytes, _random, other) {
    return Buffer.concat([bytes, other]);
  },
];

function mutate(seeds: readonly Buffer[], random: Random): Buffer {
  let bytes = seeds[random(seeds.length)]!;
  for (let rounds = 1 + random(6); rounds > 0; rounds--) {
    const mutation = MUTATIONS[random(MUTATIONS.length)]!;
    bytes = mutation(bytes, random, seeds[random(seeds.length)]!);
  }
  return bytes.subarray(0, MAX_SESSION_BYTES);
}

function split(bytes: Buffer, random: Random): Buffer[] {
  const reads: Buffer[] = [];
  const longest = 1 + random(random(2) === 0 ? 8 : 600);
  for (let at = 0; at < bytes.length; ) {
    const end = Math.min(bytes.length, at + 1 + random(longest));
    reads.push(bytes.subarray(at, end));
    at = end;
  }
  return reads;
}

function runToEnd(reads: readonly Buffer[], policy: ReceiverPolicy): Outcome {
  const driver = new Driver(policy);
  for (const read of reads) {
    if (read === TLS_READY) driver.tlsReady();
    else driver.feed(read);
  }
  const outcome = { ...driver.outcome(), log: [...driver.log], messages: [...driver.messages] };
  assertNotStuck(driver);
  return outcome;
}

/** Ends whatever line, chunk or message is open; QUIT must then be answered. */
function assertNotStuck(driver: Driver): void {
  driver.tlsReady();
  driver.feed('\r\n.\r\n');
  driver.tlsReady();
  for (let owed = 0; owed < 40 && driver.session.deadline === 'data-block'; owed++) {
    driver.feed(Buffer.alloc(100, '\r\n.\r\n'));
  }
  if (driver.session.deadline === 'data-block') return;
  driver.feed('\r\nQUIT\r\n');
  assert.ok(driver.closed, 'QUIT is not answered');
}

test('mutated sessions', () => {
  const seconds = Number(process.env.CMAIL_FUZZ_SECONDS ?? 2);
  const seed = Number(process.env.CMAIL_FUZZ_SEED ?? Math.floor(Math.random() * 2 ** 32));
  console.log(`fuzz: CMAIL_FUZZ_SEED=${seed} CMAIL_FUZZ_SECONDS=${seconds}`);
  const random = randomFrom(seed);
  const seeds = [...corpus().values()];
  const started = performance.now();
  let cases = 0;
  let delivered = 0;
  while (performance.now() - started < seconds * 1000) {
    const bytes = mutate(seeds, random);
    const policy = POLICIES[random(POLICIES.length)]!;
    const reads = segments(bytes).flatMap((one) => (one === TLS_READY ? [one] : split(one, random)));
    try {
      const whole = runToEnd(segments(bytes), policy);
      assert.deepEqual(runToEnd(reads, policy), whole);
      delivered += whole.messages.length;
    } catch (cause) {
      const input = bytes.toString('base64');
      throw new Error(`seed ${seed}, case ${cases}, input (base64) ${input}`, { cause });
    }
    cases += 1;
  }
  console.log(`fuzz: ${cases} sessions, ${delivered} messages`);
  assert.ok(cases > 0 && delivered > 0, 'the fuzzer reached no message');
});
