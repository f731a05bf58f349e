/** The exchange that AUTH begins (RFC 4954 §4): PLAIN (RFC 4616) and LOGIN, line by line. */
import type { Reply } from '../mail/reply.ts';
import { type Credentials, decodeBase64Text, parsePlain } from '../mail/sasl.ts';
import * as replies from './receiver-replies.ts';

export const MECHANISMS = ['PLAIN', 'LOGIN'] as const;
type Mechanism = (typeof MECHANISMS)[number];

/** What follows a line: another challenge, the credentials, or a refusal. */
export type AuthStep =
  | { readonly type: 'challenge'; readonly reply: Reply }
  | { readonly type: 'credentials'; readonly credentials: Credentials }
  | { readonly type: 'refused'; readonly reply: Reply };

export class AuthExchange {
  readonly #mechanism: Mechanism;
  #user: string | null = null;

  private constructor(mechanism: Mechanism) {
    this.#mechanism = mechanism;
  }

  /** Begins with the argument of AUTH: `mechanism [initial-response]`; `=` is an empty response. */
  static begin(argument: string): { readonly exchange: AuthExchange; readonly step: AuthStep } | Reply {
    const words = argument.split(/[ \t]+/);
    const [name = '', initial] = words;
    if (name === '' || words.length > 2) return replies.AUTH_SYNTAX;
    const mechanism = MECHANISMS.find((one) => one === name.toUpperCase());
    if (mechanism === undefined) return replies.UNKNOWN_MECHANISM;
    const exchange = new AuthExchange(mechanism);
    if (initial !== undefined) return { exchange, step: exchange.line(initial === '=' ? '' : initial) };
    const reply = mechanism === 'PLAIN' ? replies.CHALLENGE : replies.ASK_USER;
    return { exchange, step: { type: 'challenge', reply } };
  }

  /** Takes a client's line, without its end. */
  line(text: string): AuthStep {
    if (text === '*') return { type: 'refused', reply: replies.AUTH_CANCELLED };
    return this.#mechanism === 'PLAIN' ? plain(text) : this.#login(text);
  }

  #login(text: string): AuthStep {
    const value = decodeBase64Text(text);
    if (value === null || value === '') return { type: 'refused', reply: replies.AUTH_MALFORMED };
    if (this.#user !== null) {
      return { type: 'credentials', credentials: { user: this.#user, password: value } };
    }
    this.#user = value;
    return { type: 'challenge', reply: replies.ASK_PASSWORD };
  }
}

function plain(text: string): AuthStep {
  const credentials = parsePlain(text);
  if (credentials.ok) return { type: 'credentials', credentials: credentials.value };
  const reply = credentials.failure === 'malformed' ? replies.AUTH_MALFORMED : replies.OTHER_IDENTITY;
  return { type: 'refused', reply };
}
