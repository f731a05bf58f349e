/** The envelope sender a message leaves with: its own, or for forwarded mail one of ours (SRS). */
import { type Address, parseAddress } from '../mail/address.ts';
import type { Settings } from '../settings/values.ts';
import type { DecisionDependencies } from './decision.ts';

export interface OutwardRequest {
  /** Where it goes, and what RCPT said: they differ when it was forwarded by an alias, a catch-all, an account. */
  readonly address: string;
  readonly original: string;
  /** Null for the null reverse-path, which stays. */
  readonly sender: Address | null;
  readonly settings: Settings;
}

/**
 * The sender to use. Rewritten is that of mail from elsewhere which an address here hands on to an address elsewhere:
 * the next server would look whether this one may send for the sender's domain (SPF, RFC 7208), and refuse it.
 */
export async function outwardSender(
  { directory, srs }: Pick<DecisionDependencies, 'directory' | 'srs'>,
  { address, original, sender, settings }: OutwardRequest,
): Promise<string> {
  if (sender === null) return '';
  if (!settings.rewriteForwardedSender || address.toLowerCase() === original.toLowerCase())
    return sender.text;
  const forwarder = parseAddress(original);
  if (!forwarder.ok) return sender.text;
  const [forwarding, sending] = await Promise.all([
    directory.domain(forwarder.value.domain),
    directory.domain(sender.domain),
  ]);
  if (forwarding === null || sending !== null) return sender.text;
  return srs.rewrite(sender, forwarding.name) ?? sender.text;
}
