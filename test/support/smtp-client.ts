/**
 * A scripted SMTP client on a plain socket: sends what a test writes, reads replies as RFC 5321 §4.2 shapes
 * them, and adds nothing of its own.
 */
import { connect as connectSocket, type Socket } from 'node:net';

export interface ClientOptions {
  readonly host: string;
  readonly port: number;
  /** Where the connection comes from; 127.0.0.2 is an external source. */
  readonly localAddress?: string;
  /** Longest wait for a reply, ms; default 15 s. */
  readonly replyLimitMs?: number;
}

export interface ClientReply {
  readonly code: number;
  /** RFC 2034 code at the start of the text, or undefined. */
  readonly enhanced: string | undefined;
  /** Text of each line, without the reply code. */
  readonly lines: readonly string[];
  /** All lines joined by a blank, enhanced code included. */
  readonly text: string;
  /** From the end of the write (or of the reply before) to the complete reply. */
  readonly tookMs: number;
}

export interface Envelope {
  /** Without angle brackets; '' is the null reverse-path. */
  readonly from: string;
  readonly to: readonly string[];
  /** Header and body with CRLF lines; dots are stuffed here. */
  readonly data: string | Buffer;
  /** Parameters after the reverse-path, such as `SIZE=100`. */
  readonly mailParameters?: string;
  /** Parameters after each recipient, such as `NOTIFY=NEVER`; the last one repeats. */
  readonly recipientParameters?: readonly string[];
}

export interface Sent {
  readonly mail: ClientReply;
  readonly rcpt: readonly ClientReply[];
  /** Reply to DATA; undefined when no recipient was taken. */
  readonly data: ClientReply | undefined;
  /** Reply to the final dot; undefined when DATA was refused. */
  readonly end: ClientReply | undefined;
  /** Queue ID in `250 2.0.0 Ok: queued as ID`. */
  readonly id: string | undefined;
}

const REPLY_LIMIT_MS = 15_000;
const LINE_LIMIT_BYTES = 64 * 1024;

/** Connects and waits for nothing; `greeting()` reads the 220. Rejects when the connection fails. */
export function connect(options: ClientOptions): Promise<SmtpClient> {
  return new Promise((done, fail) => {
    const socket = connectSocket({
      host: options.host,
      port: options.port,
      localAddress: options.localAddress,
      noDelay: true,
    });
    socket.once('error', fail);
    socket.once('connect', () => {
      socket.off('error', fail);
      done(new SmtpClient(socket, options.replyLimitMs ?? REPLY_LIMIT_MS));
    });
  });
}

/** Connects, reads the greeting and says EHLO; rejects unless both succeed. */
export async function greeted(options: ClientOptions, name = 'client.test'): Promise<SmtpClient> {
  const client = await connect(options);
  try {
    await client.expect(220, client.greeting());
    await client.expect(250, client.command(`EHLO ${name}`));
  } catch (error) {
    client.destroy();
    throw error;
  }
  return client;
}

export class SmtpClient {
  readonly socket: Socket;
  readonly #limitMs: number;
  #held = '';
  #lines: string[] = [];
  #waiting: (() => void) | undefined;
  #end: Error | undefined;
  #mark = performance.now();

  constructor(socket: Socket, limitMs: number) {
    this.socket = socket;
    this.#limitMs = limitMs;
    socket.on('data', (bytes: Buffer) => this.#take(bytes.toString('latin1')));
    socket.on('error', (error) => this.#finish(error));
    socket.on('close', () => this.#finish(new Error('the server closed the connection')));
  }

  /** True once the connection is over. */
  get closed(): boolean {
    return this.#end !== undefined;
  }

  greeting(): Promise<ClientReply> {
    return this.reply();
  }

  /** Writes one line and reads its reply. */
  async command(line: string): Promise<ClientReply> {
    await this.write(`${line}\r\n`);
    return this.reply();
  }

  /** Writes all lines at once, then reads a reply for each. */
  async pipeline(lines: readonly string[]): Promise<ClientReply[]> {
    await this.write(lines.map((line) => `${line}\r\n`).join(''));
    const replies: ClientReply[] = [];
    for (const _line of lines) replies.push(await this.reply());
    return replies;
  }

  /** Writes bytes as they are; resolves when the socket has taken them. */
  write(bytes: string | Uint8Array): Promise<void> {
    return new Promise((done, fail) => {
      const written = (error?: Error | null) => {
        this.#mark = performance.now();
        if (error) fail(error);
        else done();
      };
      if (typeof bytes === 'string') this.socket.write(bytes, 'utf8', written);
      else this.socket.write(bytes, written);
    });
  }

  /** Reads the next complete reply; rejects when the connection ends or the limit passes before. */
  async reply(): Promise<ClientReply> {
    const lines: string[] = [];
    let code = 0;
    for (;;) {
      const line = await this.#line();
      const shape = /^(\d{3})(?:([ -])(.*))?$/.exec(line);
      if (shape === null) throw new Error(`not a reply line: ${JSON.stringify(line)}`);
      if (code !== 0 && code !== Number(shape[1])) throw new Error(`reply codes differ: ${code}, ${line}`);
      code = Number(shape[1]);
      lines.push(shape[3] ?? '');
      if (shape[2] === '-') continue;
      const now = performance.now();
      const tookMs = now - this.#mark;
      this.#mark = now;
      const enhanced = /^([245]\.\d{1,3}\.\d{1,3})(?: |$)/.exec(lines[0] ?? '')?.[1];
      return { code, enhanced, lines, text: lines.join(' '), tookMs };
    }
  }

  /** The reply, or an error that shows it when the code is another. */
  async expect(code: number, reply: Promise<ClientReply>): Promise<ClientReply> {
    const got = await reply;
    if (got.code !== code) throw new Error(`expected ${code}, got ${got.code} ${got.text}`);
    return got;
  }

  /** One transaction, command by command; stops where the server refuses and says RSET then. */
  async sendMessage(message: Envelope): Promise<Sent> {
    const parameters = message.mailParameters === undefined ? '' : ` ${message.mailParameters}`;
    const mail = await this.command(`MAIL FROM:<${message.from}>${parameters}`);
    const rcpt: ClientReply[] = [];
    if (mail.code !== 250) return { mail, rcpt, data: undefined, end: undefined, id: undefined };
    for (const [at, to] of message.to.entries()) {
      const asked = message.recipientParameters?.[at] ?? message.recipientParameters?.at(-1) ?? '';
      rcpt.push(await this.command(`RCPT TO:<${to}> ${asked}`.trimEnd()));
    }
    const data = rcpt.some((reply) => reply.code === 250) ? await this.command('DATA') : undefined;
    if (data?.code !== 354) {
      await this.command('RSET');
      return { mail, rcpt, data, end: undefined, id: undefined };
    }
    await this.write(stuffed(message.data));
    const end = await this.reply();
    return { mail, rcpt, data, end, id: / queued as ([0-9A-Z]+)/.exec(end.text)?.[1] };
  }

  /** Says QUIT, reads the 221 and waits for the end of the connection. */
  async quit(): Promise<ClientReply> {
    const reply = await this.command('QUIT');
    await this.ended();
    return reply;
  }

  /** Resolves when the server has closed the connection. */
  async ended(): Promise<void> {
    while (this.#end === undefined) await this.#wait();
  }

  /** Drops the connection without a word. */
  destroy(): void {
    this.socket.destroy();
  }

  async #line(): Promise<string> {
    for (;;) {
      const line = this.#lines.shift();
      if (line !== undefined) return line;
      if (this.#end !== undefined) throw this.#end;
      await this.#wait();
    }
  }

  #wait(): Promise<void> {
    return new Promise((done, fail) => {
      const limit = setTimeout(() => {
        this.#waiting = undefined;
        fail(new Error(`nothing from the server within ${this.#limitMs} ms`));
      }, this.#limitMs);
      this.#waiting = () => {
        clearTimeout(limit);
        this.#waiting = undefined;
        done();
      };
    });
  }

  #take(text: string): void {
    const pieces = (this.#held + text).split('\r\n');
    this.#held = pieces.pop() ?? '';
    if (this.#held.length > LINE_LIMIT_BYTES) this.socket.destroy(new Error('reply line too long'));
    this.#lines.push(...pieces);
    this.#waiting?.();
  }

  #finish(error: Error): void {
    this.#end ??= error;
    this.#waiting?.();
  }
}

/** Message bytes as DATA carries them: dots stuffed, a final CRLF ensured, the end mark added (RFC 5321 §4.5.2). */
export function stuffed(data: string | Buffer): Buffer {
  const text = (typeof data === 'string' ? Buffer.from(data, 'utf8') : data).toString('latin1');
  const whole = text.endsWith('\r\n') ? text : `${text}\r\n`;
  return Buffer.from(`${whole.replace(/(^|\r\n)\./g, '$1..')}.\r\n`, 'latin1');
}

/** A small complete message. */
export function letter(fields: { from: string; to: string; subject: string; body?: string }): string {
  return [
    `From: <${fields.from}>`,
    `To: <${fields.to}>`,
    `Subject: ${fields.subject}`,
    'Date: Mon, 02 Nov 2026 10:00:00 +0000',
    `Message-ID: <${encodeURIComponent(fields.subject)}@letter.test>`,
    '',
    fields.body ?? `This is ${fields.subject}.`,
    '',
  ].join('\r\n');
}
