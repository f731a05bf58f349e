/** The rule of a recipient that an account's own forward made; it names the account, so that it can be found again. */

/** Rule of the decision. */
export const ACCOUNT_FORWARD = 'account-forward';

/** Rule of one recipient: `account-forward:anna@example.com`. */
export function accountForwardRule(account: string): string {
  return `${ACCOUNT_FORWARD}:${account}`;
}

/** Address of the account that forwards; null for any other rule. */
export function forwarderOf(rule: string): string | null {
  return rule.startsWith(`${ACCOUNT_FORWARD}:`) ? rule.slice(ACCOUNT_FORWARD.length + 1) : null;
}
