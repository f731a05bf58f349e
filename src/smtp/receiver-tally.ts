import type { ReceiverPolicy } from './receiver-contract.ts';

/** Refused sign-ins, for good or for now, before 421 4.7.0 and close. */
export const MAX_FAILED_SIGN_INS = 3;

const IDLE_COMMANDS: ReadonlySet<string> = new Set(['EHLO', 'HELO', 'RSET', 'NOOP', 'VRFY', 'HELP']);

/** What a session did without moving mail. */
export interface Fruitless {
  /** Failed or senseless commands, refused recipients and messages: what was answered with 5yz. */
  readonly errors: number;
  readonly idleCommands: number;
}

/** What a session has done so far, against what it may. Each answer is whether that was too much. */
export class SessionTally {
  messages = 0;
  recipients = 0;
  #errors = 0;
  #idleCommands = 0;
  #failedSignIns = 0;
  /** Since it was last asked for. */
  #fruitless = { errors: 0, idleCommands: 0 };

  error({ maxErrors }: ReceiverPolicy): boolean {
    this.#errors += 1;
    this.#fruitless.errors += 1;
    return this.#errors >= maxErrors;
  }

  idleCommand(verb: string, { maxIdleCommands }: ReceiverPolicy): boolean {
    if (!IDLE_COMMANDS.has(verb)) return false;
    this.#idleCommands += 1;
    this.#fruitless.idleCommands += 1;
    return this.#idleCommands > maxIdleCommands;
  }

  /** What was fruitless since the last call. */
  takeFruitless(): Fruitless {
    const fruitless = this.#fruitless;
    this.#fruitless = { errors: 0, idleCommands: 0 };
    return fruitless;
  }

  failedSignIn(): boolean {
    this.#failedSignIns += 1;
    return this.#failedSignIns >= MAX_FAILED_SIGN_INS;
  }

  /** A message was accepted: who sends mail has errors and idle commands forgiven. */
  message(): void {
    this.messages += 1;
    this.#errors = 0;
    this.#idleCommands = 0;
  }
}
