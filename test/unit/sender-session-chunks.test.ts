/** The sending session towards a server with CHUNKING (RFC 3030): one BDAT LAST, and what follows from its reply. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { CHUNK_ENCODER } from '../../src/smtp/body-encoder.ts';
import type { SenderAction, Transaction } from '../../src/smtp/sender-contract.ts';
import { SenderSession } from '../../src/smtp/sender-session.ts';
import { Driver as Receiver } from './smtp-receiver-driver.ts';

const BYE = '421 4.3.2 Closing';
const MESSAGE: Transaction = {
  ...{ sender: 'a@me.test', recipients: ['b@x', 'c@x', 'd@x'], sizeBytes: 100 },
  ...{ eightBit: false, smtputf8: false },
};
const ENVELOPE = 'MAIL FROM:<a@me.test>\r\nRCPT TO:<b@x>\r\nRCPT TO:<c@x>\r\nRCPT TO:<d@x>\r\n';

function make(probe = false): SenderSession {
  const options = { hostname: 'me.test', refuseSelf: true, tls: 'none', secure: null } as const;
  return new SenderSession({ ...options, credentials: null, loopback: false, probe });
}

function ready(...extensions: string[]): SenderSession {
  const session = make();
  say(session, '220 far.test', ...['far.test', ...extensions].map((word) => `250-${word}`), '250 HELP');
  assert.deepEqual(session.next(), { type: 'ready' });
  return session;
}

/** Feeds lines; returns what the session wants written. */
function say(session: SenderSession, ...lines: string[]): string {
  session.receive(Buffer.from(lines.map((line) => `${line}\r\n`).join('')));
  return session.takeOutput().toString();
}

function begin(session: SenderSession, changes: Partial<Transaction> = {}): string {
  session.begin({ ...MESSAGE, ...changes });
  return session.takeOutput().toString();
}

/** The replies of one transaction in pieces; the message is written at once when it is asked for. */
function run(session: SenderSession, pieces: readonly Uint8Array[]): SenderAction | null {
  session.begin(MESSAGE);
  for (const piece of pieces) {
    session.receive(piece);
    const action = session.next();
    if (action?.type === 'send-chunk') session.bodySent();
    else if (action !== null) return action;
  }
  return session.next();
}

/** Accepted, refused or not known, by recipient. */
function told(action: SenderAction | null): readonly (boolean | null)[] | null {
  if (action?.type !== 'done' && action?.type !== 'failed') return null;
  return action.results.map((result) => result?.accepted ?? null);
}

describe('a server with CHUNKING', () => {
  for (const pipelining of [true, false]) {
    const how = pipelining ? 'pipelined' : 'command by command';

    it(`gets the whole message as one chunk once somebody was accepted (${how})`, () => {
      const session = ready('CHUNKING', ...(pipelining ? ['PIPELINING'] : []));
      const written = begin(session);
      if (pipelining) assert.equal(written, ENVELOPE, 'no BDAT before the replies to RCPT');
      assert.equal(pipelining ? '' : say(session, '250 ok'), pipelining ? '' : 'RCPT TO:<b@x>\r\n');
      say(session, ...(pipelining ? ['250 ok'] : []), '550 no', '250 ok');
      assert.equal(session.next(), null);
      assert.equal(say(session, '450 later'), 'BDAT 100 LAST\r\n');
      assert.deepEqual(session.next(), { type: 'send-chunk', sizeBytes: 100 });
      assert.equal(session.phase, 'data-block');
      session.bodySent();
      assert.equal(session.phase, 'data-end');
      assert.equal(say(session, '250 2.0.0 taken'), '');
      assert.deepEqual(told(session.next()), [false, true, false]);
      assert.ok(begin(session).startsWith('MAIL'), 'no RSET between messages');
    });

    it(`gets no octet when everybody was refused, and RSET before the next message (${how})`, () => {
      const session = ready('CHUNKING', ...(pipelining ? ['PIPELINING'] : []));
      begin(session);
      for (const line of ['250 ok', '550 no', '450 later', '550 no'])
        assert.doesNotMatch(say(session, line), /BDAT|DATA/);
      assert.deepEqual(told(session.next()), [false, false, false]);
      assert.ok(begin(session).startsWith('RSET\r\n'));
    });

    for (const [reply, code] of [
      ['554 5.6.0 no', 554],
      ['452 4.3.1 full', 452],
    ] as const) {
      it(`that answers ${reply} to it has taken nothing, and gets RSET first (${how})`, () => {
        const session = ready('CHUNKING', ...(pipelining ? ['PIPELINING'] : []));
        begin(session);
        for (const line of ['250 ok', '250 ok', '550 no', '250 ok']) say(session, line);
        session.next();
        session.bodySent();
        say(session, reply);
        const action = session.next();
        assert.deepEqual(told(action), [false, false, false]);
        const first = action?.type === 'done' ? action.results[0] : null;
        assert.deepEqual([first?.stage, first?.reply.code], ['data-end', code]);
        assert.ok(begin(session).startsWith('RSET\r\n'));
        assert.equal(session.phase, 'mail');
      });
    }
  }

  it('gets RSET after a failed BDAT only: DATA clears a transaction by itself', () => {
    const session = ready('PIPELINING');
    begin(session);
    say(session, '250 ok', '250 ok', '250 ok', '250 ok', '354 go');
    session.next();
    session.bodySent();
    say(session, '554 no');
    session.next();
    assert.ok(begin(session).startsWith('MAIL'));
  });

  it('is told BODY=8BITMIME as ever, never BINARYMIME', () => {
    const session = ready('PIPELINING', '8BITMIME', 'CHUNKING', 'BINARYMIME');
    assert.ok(begin(session, { eightBit: true }).startsWith('MAIL FROM:<a@me.test> BODY=8BITMIME\r\n'));
  });

  it('gets an empty message by DATA', () => {
    const session = ready('PIPELINING', 'CHUNKING');
    assert.ok(begin(session, { sizeBytes: 0 }).endsWith('DATA\r\n'));
  });

  it('is only asked by a probe', () => {
    const session = make(true);
    say(session, '220 x', '250-x', '250-PIPELINING', '250 CHUNKING');
    session.next();
    begin(session, { recipients: ['b@x'] });
    say(session, '250 ok');
    assert.equal(say(session, '250 ok'), '');
    assert.equal(session.next()?.type, 'done');
  });

  for (const [reply, known] of [
    ['552 5.3.4 too big', [false, false, false]],
    ['452 4.3.1 full', [false, false, false]],
    ['250 ok', [null, false, null]],
    [BYE, [null, false, null]],
  ] as const) {
    it(`ends the connection with ${reply} before the last octet`, () => {
      const session = ready('PIPELINING', 'CHUNKING');
      begin(session);
      say(session, '250 ok', '250 ok', '550 no', '250 ok');
      session.next();
      say(session, reply);
      const failed = session.next();
      assert.deepEqual(told(failed), known);
      assert.equal(failed?.type === 'failed' && failed.problem.phase, 'data-block');
      session.bodySent();
      assert.equal(session.phase, 'ended');
      assert.equal(session.takeOutput().length, 0);
    });
  }

  for (const [reply, type, known] of [
    ['250 taken', 'done', [true, false, true]],
    ['554 no', 'failed', [false, false, false]],
    [BYE, 'failed', [null, false, null]],
  ] as const) {
    it(`that says ${reply} while the last octets are being written is believed`, () => {
      const session = ready('PIPELINING', 'CHUNKING');
      begin(session);
      say(session, '250 ok', '250 ok', '550 no', '250 ok');
      session.next();
      session.bodyEnding();
      assert.equal(session.phase, 'data-block');
      say(session, reply);
      const action = session.next();
      assert.deepEqual([action?.type, told(action)], [type, known]);
      session.bodySent();
      assert.equal(session.phase, type === 'done' ? 'ready' : 'ended');
    });
  }

  it('may have the message when it is lost after the last octet, and has it not before', () => {
    for (const written of [true, false]) {
      const session = ready('PIPELINING', 'CHUNKING');
      begin(session);
      say(session, '250 ok', '250 ok', '550 no', '250 ok');
      session.next();
      if (written) session.bodySent();
      session.lost('closed', true);
      const failed = session.next();
      assert.deepEqual(told(failed), [null, false, null]);
      assert.equal(failed?.type === 'failed' && failed.problem.phase, written ? 'data-end' : 'data-block');
    }
  });
});

/** Replies before the 421, and what is known then. */
const POINTS: [string, readonly string[], readonly (boolean | null)[]][] = [
  ['MAIL', [], [null, null, null]],
  ['the first RCPT', ['250 ok'], [null, null, null]],
  ['the last RCPT', ['250 ok', '550 no', '250 ok'], [false, null, null]],
  ['BDAT', ['250 ok', '550 no', '250 ok', '450 later'], [false, null, false]],
];
const whole = (lines: readonly string[]) => Buffer.from(lines.map((line) => `${line}\r\n`).join(''));
const EXTENSIONS = [['CHUNKING'], ['CHUNKING', 'PIPELINING']];

/** Bytes cut at these places, which may lie beyond them. */
function cut(bytes: Buffer, places: readonly number[]): Buffer[] {
  const points = [0, ...new Set(places.map((place) => place % (bytes.length + 1))), bytes.length];
  points.sort((one, other) => one - other);
  return points.slice(1).map((end, index) => bytes.subarray(points[index], end));
}

describe('replies in any pieces, with CHUNKING', () => {
  for (const [what, before, known] of POINTS) {
    it(`421 to ${what}: lost, and only refusals are known`, () => {
      for (const extensions of EXTENSIONS) {
        const session = ready(...extensions);
        const action = run(
          session,
          [...before, BYE].map((line) => whole([line])),
        );
        assert.deepEqual(told(action), known);
        assert.equal(action?.type === 'failed' && action.problem.reply?.code, 421);
        assert.equal(session.phase, 'ended');
      }
    });
  }

  it('any pieces of the replies to the envelope give what the whole gives, and then so does BDAT', () => {
    const reply = fc.constantFrom(
      '250 ok',
      '450 later',
      '452-too\r\n452 many',
      '550-5.1.1 no\r\n550 no',
      BYE,
    );
    const property = fc.property(
      fc.array(reply, { minLength: 4, maxLength: 4 }),
      fc.constantFrom('250 taken', '451 later', '554 no', '354 odd', BYE),
      fc.array(fc.nat(200), { maxLength: 8 }),
      (envelope, end, places) => {
        const finish = (session: SenderSession, pieces: readonly Buffer[]) => {
          const early = run(session, pieces);
          if (early !== null) return early;
          session.receive(whole([end]));
          return session.next();
        };
        const bytes = whole(envelope);
        const expected = finish(ready('CHUNKING', 'PIPELINING'), [bytes]);
        assert.deepEqual(finish(ready('CHUNKING', 'PIPELINING'), cut(bytes, places)), expected);
        const taken = end.startsWith('250') && expected?.type === 'done';
        const accepted = envelope.slice(1).map((line) => taken && line === '250 ok');
        if (expected?.type === 'done' && envelope[0] === '250 ok') assert.deepEqual(told(expected), accepted);
        else assert.ok(!told(expected)?.includes(true));
      },
    );
    fc.assert(property, { numRuns: 2_000 });
  });

  it('pieces of the reply to the chunk give what the whole gives', () => {
    const end = whole(['552-5.3.4 too', '552 5.3.4 big']);
    for (let at = 0; at <= end.length; at += 1) {
      const session = ready('CHUNKING', 'PIPELINING');
      assert.equal(run(session, [whole(['250 ok', '250 ok', '550 no', '250 ok'])]), null);
      for (const piece of cut(end, [at])) session.receive(piece);
      const action = session.next();
      assert.deepEqual(told(action), [false, false, false]);
      assert.deepEqual(action?.type === 'done' && action.results[0]?.reply.lines, ['too', 'big']);
    }
  });
});

describe('CHUNK_ENCODER', () => {
  it('gives any pieces through any buffer as they are, with nothing after them', () => {
    const piece = fc.uint8Array({ maxLength: 12 });
    fc.assert(
      fc.property(fc.array(piece, { maxLength: 5 }), fc.integer({ min: 1, max: 20 }), (pieces, size) => {
        const buffer = Buffer.alloc(size);
        const out: Buffer[] = [];
        let filled = 0;
        for (const one of pieces) {
          for (let from = 0; from < one.length; ) {
            const { read, written } = CHUNK_ENCODER.encode(one.subarray(from), buffer, filled);
            from += read;
            filled += written;
            if (from === one.length) continue;
            out.push(Buffer.from(buffer.subarray(0, filled)));
            filled = 0;
          }
        }
        filled += CHUNK_ENCODER.end(buffer, filled);
        out.push(buffer.subarray(0, filled));
        assert.ok(Buffer.concat(out).equals(Buffer.concat(pieces)));
      }),
    );
  });
});

describe('our own receiving side', () => {
  /** Sends `body` to a receiving session, with what either side writes cut into reads of `longest` bytes. */
  function deliver(body: Buffer, recipients: readonly string[], longest: number) {
    const receiver = new Receiver();
    const sender = make();
    let toReceiver: Buffer = Buffer.alloc(0);
    receiver.session.greet();
    let toSender: Buffer = receiver.session.takeOutput();
    let result: SenderAction | null = null;
    while (toReceiver.length > 0 || toSender.length > 0) {
      sender.receive(toSender.subarray(0, longest));
      toSender = toSender.subarray(longest);
      let octets: Buffer = Buffer.alloc(0);
      for (let action = sender.next(); action !== null; action = sender.next()) {
        if (action.type === 'ready') sender.begin({ ...MESSAGE, recipients, sizeBytes: body.length });
        else if (action.type === 'send-chunk') octets = body;
        else result = action;
      }
      toReceiver = Buffer.concat([toReceiver, sender.takeOutput(), octets]);
      if (octets.length > 0) sender.bodySent();
      toSender = Buffer.concat([toSender, Buffer.from(receiver.feed(toReceiver.subarray(0, longest)))]);
      toReceiver = toReceiver.subarray(longest);
    }
    return { messages: receiver.messages, log: receiver.log, result };
  }

  it('takes what is sent, octet for octet, in any reads', () => {
    const text = '.dots\r\n..\r\n.\r\nBDAT 5 LAST\r\nQUIT\r\n\r\n';
    for (let longest = 1; longest < 200; longest += 1) {
      const { messages, result } = deliver(Buffer.from(text), ['b@x.test', 'unknown@x.test'], longest);
      assert.deepEqual(told(result), [true, false]);
      assert.ok(messages.length === 1 && messages[0]?.includes(text), messages[0]);
    }
  });

  it('gets no chunk for nobody', () => {
    const { messages, log, result } = deliver(Buffer.from('x\r\n'), ['unknown@x.test'], 50);
    assert.deepEqual(told(result), [false]);
    assert.deepEqual(messages, []);
    assert.ok(!log.some((line) => line.startsWith('data')), log.join(', '));
  });

  it('puts the CRLF to a last line that it lacks, as DATA would', () => {
    const { messages } = deliver(Buffer.from('a\r\nno end'), ['b@x.test'], 50);
    assert.ok(messages[0]?.endsWith('a\r\nno end\r\n'), messages[0]);
  });
});
