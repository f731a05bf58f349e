import type { Reply } from '../mail/reply.ts';
import { AuthExchange, type AuthStep } from './receiver-auth.ts';
import type { ReceiverPolicy } from './receiver-contract.ts';
import * as replies from './receiver-replies.ts';

/** What a session has of TLS and sign-in, and what that allows. */
export class SessionAccess {
  #secured = false;
  #signedIn = false;
  #exchange: AuthExchange | null = null;

  /** What may be announced now. */
  offers({ startTls, auth, requireTls }: ReceiverPolicy): replies.Offers {
    const authNow = auth === 'always' || (auth === 'under-tls' && this.#secured);
    return {
      startTls: startTls && !this.#secured,
      auth: authNow && !this.#signedIn,
      requireTls: requireTls && this.#secured,
    };
  }

  /** Why mail may not come now, or null. */
  refuseMail({ signInRequired }: ReceiverPolicy): Reply | null {
    return signInRequired && !this.#signedIn ? replies.SIGN_IN_FIRST : null;
  }

  /** Why TLS may not begin now, or null: then whatever was known is forgotten (RFC 3207 §4.2). */
  beginTls({ startTls }: ReceiverPolicy, greeted: boolean): Reply | null {
    if (this.#secured) return replies.TLS_UNDER_WAY;
    if (!startTls) return replies.NOT_IMPLEMENTED;
    if (!greeted) return replies.NO_HELLO;
    this.#signedIn = false;
    return null;
  }

  secured(): void {
    this.#secured = true;
  }

  signedIn(): void {
    this.#signedIn = true;
  }

  beginAuth(
    argument: string,
    policy: ReceiverPolicy,
    { greeted, inTransaction }: { readonly greeted: boolean; readonly inTransaction: boolean },
  ): AuthStep {
    const refused = (reply: Reply): AuthStep => ({ type: 'refused', reply });
    if (policy.auth === 'never') return refused(replies.NOT_IMPLEMENTED);
    if (!greeted) return refused(replies.NO_HELLO);
    if (this.#signedIn) return refused(replies.SIGNED_IN_ALREADY);
    if (inTransaction) return refused(replies.AUTH_IN_TRANSACTION);
    if (!this.offers(policy).auth) return refused(replies.AUTH_NEEDS_TLS);
    const begun = AuthExchange.begin(argument);
    if ('code' in begun) return refused(begun);
    return this.#keep(begun.exchange, begun.step);
  }

  /** A line of the exchange under way. */
  line(text: string): AuthStep {
    const exchange = this.#exchange;
    if (exchange === null) throw new Error('SessionAccess.line: no exchange is under way');
    return this.#keep(exchange, exchange.line(text));
  }

  /** Ends an exchange; false when there was none. */
  drop(): boolean {
    const had = this.#exchange !== null;
    this.#exchange = null;
    return had;
  }

  #keep(exchange: AuthExchange, step: AuthStep): AuthStep {
    this.#exchange = step.type === 'challenge' ? exchange : null;
    return step;
  }
}
