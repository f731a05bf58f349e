/**
 * A scripted SMTP server for the far side: takes mail, or fails at the stage a test names, and records every
 * session and message.
 */
import { createServer, type Server, type Socket } from 'node:net';
import { TLSSocket } from 'node:tls';
import type { ServerCertificate } from './certificates.ts';
import { type Endpoint, poll } from './cmail.ts';
import { connect } from './smtp-client.ts';
import { PeerReader } from './smtp-peer-reader.ts';

/**
 * `end` is the reply to the final dot or to the last chunk; `greeting` comes right after the connection; `bdat` comes
 * right after the line of a chunk, before its octets, where `ok` says nothing.
 */
export type PeerStage =
  | 'greeting'
  | 'ehlo'
  | 'helo'
  | 'starttls'
  | 'auth'
  | 'mail'
  | 'rcpt'
  | 'data'
  | 'bdat'
  | 'end'
  | 'rset'
  | 'quit';

/**
 * What the peer does at a stage, in words:
 *   `ok`                 as a good server would
 *   `450 4.2.1 Not now`  this reply (`\n` parts the lines of a longer one); 421 also closes
 *   `close` / `reset`    drops the connection without a reply, by FIN / by RST
 *   `silent`             never replies and keeps the connection
 * Any reply and `ok` may end in `, close` (closes after it) or `, stall` (stops reading after it).
 */
export type PeerAction = string;

export interface PeerScript {
  /** Name in greeting and EHLO reply. */
  readonly hostname?: string;
  /** Keywords of the EHLO reply; STARTTLS and AUTH come by themselves. */
  readonly extensions?: readonly string[];
  /** A list is used up command by command over all sessions; its last entry stays. */
  readonly at?: Partial<Record<PeerStage, PeerAction | readonly PeerAction[]>>;
  /** For these recipients instead of `at.rcpt`; keys in lower case. */
  readonly recipients?: Readonly<Record<string, PeerAction>>;
  /** Offers STARTTLS, or speaks TLS from the start. */
  readonly tls?: ServerCertificate & { readonly implicit?: boolean };
  /** Offers AUTH, and takes this user only. */
  readonly auth?: {
    readonly user: string;
    readonly password: string;
    readonly mechanisms?: readonly string[];
  };
  /** Milliseconds between the bytes of each reply. */
  readonly dripMs?: number;
  /** Sends every message taken back to this server, with the same envelope. */
  readonly handBackTo?: Endpoint;
  /** Recipients added to what is handed back. */
  readonly handBackAlso?: readonly string[];
  /** To these recipients instead. */
  readonly handBackOnly?: readonly string[];
  /** Called just before and just after the peer writes a 2yz reply to the final dot. */
  readonly beforeTaken?: () => void;
  readonly afterTaken?: () => void;
}

export interface PeerSession {
  readonly remoteAddress: string;
  /** Every command line, in order, without CRLF. */
  readonly commands: string[];
  readonly startedAt: number;
  tls: boolean;
  user: string | undefined;
  helo: string | undefined;
  /** Set when the connection is over. */
  endedAt: number | undefined;
}

export interface PeerMessage {
  readonly session: PeerSession;
  readonly from: string;
  /** What followed the reverse-path, such as `SIZE=100 BODY=8BITMIME`. */
  readonly mailParameters: string;
  /** Accepted recipients. */
  readonly to: readonly string[];
  /** The bytes as sent, in chunks or with dots unstuffed. */
  readonly data: Buffer;
  /** Reply to the final dot; '' when the peer gave none. */
  readonly reply: string;
}

export interface SmtpPeer {
  readonly address: string;
  readonly port: number;
  /** Sessions that reached this peer, failed ones too. */
  readonly sessions: readonly PeerSession[];
  /** Messages taken with a 2yz reply. */
  readonly messages: readonly PeerMessage[];
  /** Messages read to their end and not taken. */
  readonly refused: readonly PeerMessage[];
  /** Replies to the final dot (or the refusal before) of what was handed back, in order. */
  readonly handedBack: readonly string[];
  /** Another script for everything from now on. */
  script(script: PeerScript): void;
  /** Forgets what was recorded. */
  clear(): void;
  /** Resolves when `count` messages are there; rejects after `limitMs` (10 s). */
  waitForMessages(count: number, limitMs?: number): Promise<readonly PeerMessage[]>;
  close(): Promise<void>;
}

const DEFAULT_EXTENSIONS = ['PIPELINING', 'SIZE 52428800', '8BITMIME', 'ENHANCEDSTATUSCODES'];

/** Listens at `address` (127.0.0.1) and `port` (a free one). */
export async function startSmtpPeer(
  script: PeerScript = {},
  place: { address?: string; port?: number } = {},
): Promise<SmtpPeer> {
  const state = new PeerState(script);
  const server = createServer({ noDelay: true }, (socket) => state.take(socket));
  await new Promise<void>((done, fail) => {
    server.once('error', fail);
    server.listen(place.port ?? 0, place.address ?? '127.0.0.1', () => done());
  });
  const bound = server.address();
  if (bound === null || typeof bound === 'string') throw new Error('the peer has no port');
  return {
    address: bound.address,
    port: bound.port,
    sessions: state.sessions,
    messages: state.messages,
    refused: state.refused,
    handedBack: state.handedBack,
    script: (next) => state.use(next),
    clear: () => state.clear(),
    waitForMessages: (count, limitMs) =>
      poll(
        `${count} messages at the peer ${bound.address}:${bound.port}`,
        async () => state.messages.length >= count && state.messages,
        limitMs,
        () => state.describe(),
      ),
    close: () => closeServer(server, state),
  };
}

async function closeServer(server: Server, state: PeerState): Promise<void> {
  const closed = new Promise<void>((done) => server.close(() => done()));
  for (const socket of state.sockets) socket.destroy();
  await closed;
}

class PeerState {
  readonly sessions: PeerSession[] = [];
  readonly messages: PeerMessage[] = [];
  readonly refused: PeerMessage[] = [];
  readonly handedBack: string[] = [];
  readonly sockets = new Set<Socket>();
  #script: PeerScript;
  #used = new Map<PeerStage, number>();

  constructor(script: PeerScript) {
    this.#script = script;
  }

  get current(): PeerScript {
    return this.#script;
  }

  use(script: PeerScript): void {
    this.#script = script;
    this.#used.clear();
  }

  clear(): void {
    for (const list of [this.sessions, this.messages, this.refused, this.handedBack]) list.length = 0;
  }

  action(stage: PeerStage): PeerAction {
    const actions = this.#script.at?.[stage];
    if (actions === undefined || typeof actions === 'string') return actions ?? 'ok';
    const used = this.#used.get(stage) ?? 0;
    this.#used.set(stage, used + 1);
    return actions[Math.min(used, actions.length - 1)] ?? 'ok';
  }

  take(socket: Socket): void {
    this.sockets.add(socket);
    const session: PeerSession = {
      remoteAddress: socket.remoteAddress ?? '',
      commands: [],
      startedAt: Date.now(),
      tls: false,
      user: undefined,
      helo: undefined,
      endedAt: undefined,
    };
    this.sessions.push(session);
    socket.on('error', () => undefined); // the end of the connection is recorded by 'close'
    socket.on('close', () => {
      session.endedAt = Date.now();
      this.sockets.delete(socket);
    });
    void new Conversation(this, session, socket).run();
  }

  describe(): string {
    const sessions = this.sessions.map((session) => session.commands.join(' | '));
    return `it has ${this.messages.length}; sessions:\n${sessions.join('\n')}`;
  }
}

/** One connection, from greeting to close. */
class Conversation {
  readonly #peer: PeerState;
  readonly #session: PeerSession;
  #socket: Socket;
  #reader: PeerReader;
  #over = false;
  /** Of a MAIL that was taken and whose transaction goes on. */
  #from: string | null = null;
  #parameters = '';
  #to: string[] = [];
  #chunks: Buffer[] = [];

  constructor(peer: PeerState, session: PeerSession, socket: Socket) {
    this.#peer = peer;
    this.#session = session;
    this.#socket = socket;
    this.#reader = new PeerReader(socket);
  }

  async run(): Promise<void> {
    if (this.#peer.current.tls?.implicit) this.#secure();
    await this.#act('greeting', `220 ${this.#name} ESMTP`);
    while (!this.#over) {
      const line = await this.#reader.line();
      if (line === undefined) break;
      this.#session.commands.push(line);
      await this.#command(line);
    }
    if (!this.#socket.isPaused()) this.#socket.end();
  }

  get #name(): string {
    return this.#peer.current.hostname ?? 'peer.test';
  }

  async #command(line: string): Promise<void> {
    const verb = line.split(' ', 1)[0]?.toUpperCase() ?? '';
    if (verb === 'EHLO' || verb === 'HELO') return this.#hello(verb, line.slice(5));
    if (verb === 'STARTTLS') return this.#startTls();
    if (verb === 'AUTH') return this.#authenticate(line);
    if (verb === 'MAIL') return this.#mail(line);
    if (verb === 'RCPT') return this.#rcpt(line);
    if (verb === 'DATA') return this.#data();
    if (verb === 'BDAT') return this.#bdat(line);
    if (verb === 'RSET') {
      this.#forget();
      await this.#act('rset', '250 2.0.0 Forgotten');
      return;
    }
    if (verb === 'QUIT') {
      await this.#act('quit', '221 2.0.0 Bye, close');
      return;
    }
    await this.#reply(verb === 'NOOP' ? '250 2.0.0 Ok' : '502 5.5.1 Not here');
  }

  async #hello(verb: string, name: string): Promise<void> {
    this.#session.helo = name;
    const { extensions = DEFAULT_EXTENSIONS, tls, auth } = this.#peer.current;
    const keywords = [...extensions];
    if (tls !== undefined && !this.#session.tls) keywords.push('STARTTLS');
    if (auth !== undefined) keywords.push(`AUTH ${(auth.mechanisms ?? ['PLAIN', 'LOGIN']).join(' ')}`);
    if (verb === 'HELO') await this.#act('helo', `250 ${this.#name}`);
    else await this.#act('ehlo', ['250 ', this.#name, ...keywords.map((word) => `\n${word}`)].join(''));
  }

  async #startTls(): Promise<void> {
    if (this.#peer.current.tls === undefined) return this.#reply('502 5.5.1 Not here');
    if (await this.#act('starttls', '220 2.0.0 Go ahead')) this.#secure();
  }

  #secure(): void {
    const tls = this.#peer.current.tls;
    if (tls === undefined) return;
    this.#reader.detach();
    const secure = new TLSSocket(this.#socket, { isServer: true, cert: tls.cert, key: tls.key });
    secure.on('error', () => this.#socket.destroy());
    this.#socket = secure;
    this.#reader = new PeerReader(secure);
    this.#session.tls = true;
  }

  async #authenticate(line: string): Promise<void> {
    const auth = this.#peer.current.auth;
    if (auth === undefined) return this.#reply('502 5.5.1 Not here');
    const [, mechanism = '', initial] = line.split(' ');
    let user: string | undefined;
    let password: string | undefined;
    if (mechanism.toUpperCase() === 'PLAIN') {
      [, user, password] = (initial === undefined ? await this.#ask('') : decode(initial)).split('\0');
    } else {
      user = initial === undefined ? await this.#ask('Username:') : decode(initial);
      password = await this.#ask('Password:');
    }
    if (user !== auth.user || password !== auth.password) {
      return this.#reply('535 5.7.8 Credentials invalid');
    }
    if (await this.#act('auth', '235 2.7.0 Welcome')) this.#session.user = user;
  }

  async #ask(prompt: string): Promise<string> {
    await this.#reply(`334 ${Buffer.from(prompt).toString('base64')}`);
    return decode((await this.#reader.line()) ?? '');
  }

  async #mail(line: string): Promise<void> {
    const path = /^MAIL FROM:<([^>]*)>\s*(.*)$/i.exec(line);
    if (path === null) return this.#reply('501 5.5.4 Syntax');
    this.#parameters = path[2] ?? '';
    this.#to = [];
    this.#from = (await this.#act('mail', '250 2.1.0 Ok')) ? (path[1] ?? '') : null;
  }

  async #rcpt(line: string): Promise<void> {
    if (this.#from === null) return this.#reply('503 5.5.1 MAIL first');
    const address = /^RCPT TO:<(.*)>/i.exec(line)?.[1] ?? '';
    const special = this.#peer.current.recipients?.[address.toLowerCase()];
    const taken = await this.#act('rcpt', '250 2.1.5 Ok', special);
    if (taken) this.#to.push(address);
  }

  async #data(): Promise<void> {
    if (this.#to.length === 0) return this.#reply('503 5.5.1 No recipients');
    const goOn = await this.#act('data', '354 Go ahead');
    if (!goOn || this.#over) return;
    const data = await this.#reader.message();
    if (data !== undefined) await this.#take(data);
  }

  /** One chunk (RFC 3030 §2); its octets are read whatever comes of it. */
  async #bdat(line: string): Promise<void> {
    const [, size, last] = /^BDAT (\d+)( LAST)?$/i.exec(line) ?? [];
    if (size === undefined) return this.#reply('501 5.5.4 Syntax, close');
    const action = this.#peer.action('bdat');
    if (action !== 'ok') await this.#act('bdat', '', action);
    const chunk = this.#over ? undefined : await this.#reader.octets(Number(size));
    if (chunk === undefined || action !== 'ok') return;
    if (this.#to.length === 0) return this.#reply('503 5.5.1 No recipients');
    this.#chunks.push(chunk);
    if (last === undefined) return this.#reply(`250 2.0.0 ${size} octets`);
    await this.#take(Buffer.concat(this.#chunks));
  }

  #forget(): void {
    this.#from = null;
    this.#to = [];
    this.#chunks = [];
  }

  /** The end of a message: records it and answers. */
  async #take(data: Buffer): Promise<void> {
    const message = {
      session: this.#session,
      from: this.#from ?? '',
      mailParameters: this.#parameters,
      to: this.#to,
      data,
    };
    this.#forget();
    const index = this.#peer.messages.length;
    // Recorded before the reply leaves, so that whoever saw the reply sees the message here.
    const action = this.#peer.action('end');
    const reply = action.startsWith('ok') ? '250 2.0.0 Taken' : /^\d/.test(action) ? action : '';
    const recorded: PeerMessage = { ...message, reply };
    if (reply.startsWith('2')) this.#peer.messages.push(recorded);
    else this.#peer.refused.push(recorded);
    if (this.#peer.messages.length > index) this.#handBack(recorded);
    const { beforeTaken, afterTaken } = this.#peer.current;
    const taken = reply.startsWith('2');
    if (taken) beforeTaken?.();
    await this.#act('end', '250 2.0.0 Taken', action);
    if (taken) afterTaken?.();
  }

  #handBack(message: PeerMessage): void {
    const { handBackTo, handBackAlso = [], handBackOnly } = this.#peer.current;
    if (handBackTo === undefined) return;
    handBack(handBackTo, { ...message, to: handBackOnly ?? [...message.to, ...handBackAlso] }).then(
      (reply) => this.#peer.handedBack.push(reply),
      (error: unknown) => this.#peer.handedBack.push(String(error)),
    );
  }

  /** Does what the script says at `stage`; true when the reply let the client go on (2yz, 3yz). */
  async #act(stage: PeerStage, good: string, special?: PeerAction): Promise<boolean> {
    const action = special ?? this.#peer.action(stage);
    if (action === 'close' || action === 'reset') {
      this.#over = true;
      if (action === 'reset') this.#socket.resetAndDestroy();
      else this.#socket.destroy();
      return false;
    }
    if (action === 'silent') return false;
    const [, first = '', then] = /^(.*?)(?:, (close|stall))?$/s.exec(action.replace(/^ok/, good)) ?? [];
    await this.#reply(first.replace(/, close$/, ''));
    if (then === 'stall') this.#socket.pause();
    if (then === 'close' || first.startsWith('421')) this.#over = true;
    return /^[23]/.test(first);
  }

  /** Writes a reply; `\n` in it parts lines. */
  async #reply(text: string): Promise<void> {
    const code = text.slice(0, 3);
    const lines = text.slice(4).split('\n');
    const whole = lines
      .map((line, at) => `${code}${at === lines.length - 1 ? ' ' : '-'}${line}\r\n`)
      .join('');
    const { dripMs } = this.#peer.current;
    if (dripMs === undefined) {
      this.#socket.write(whole, 'utf8');
      return;
    }
    for (const byte of Buffer.from(whole)) {
      if (this.#socket.destroyed) return;
      this.#socket.write(Buffer.of(byte));
      await new Promise((done) => setTimeout(done, dripMs));
    }
  }
}

/** Sends a message to `place` as it came; resolves to the reply that decided, code and text. */
async function handBack(place: Endpoint, message: PeerMessage): Promise<string> {
  const client = await connect(place);
  try {
    await client.greeting();
    await client.command('EHLO peer.test');
    const sent = await client.sendMessage({ from: message.from, to: message.to, data: message.data });
    const last = sent.end ?? sent.data ?? sent.rcpt.at(-1) ?? sent.mail;
    return `${last.code} ${last.text}`;
  } finally {
    client.destroy();
  }
}

function decode(base64: string): string {
  return Buffer.from(base64, 'base64').toString('utf8');
}
