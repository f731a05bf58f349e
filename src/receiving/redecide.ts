/** A queued recipient decided again by today's directory and settings, for the sender. */
import { parseAddress } from '../mail/address.ts';
import { failure } from '../mail/failure.ts';
import type { Redecide } from '../sending/ports.ts';
import type { CurrentSettings } from '../settings/values.ts';
import { type Decision, type DecisionDependencies, decide } from './decision.ts';
import { outwardSender } from './outward-sender.ts';

/** Rule of a recipient whose message came back with our token; it ends in a notice. */
export const LOOP_RULE = 'loop';

export function createRedecide(deps: DecisionDependencies, settings: CurrentSettings): Redecide {
  return async (recipient, source, sender) => {
    const address = parseAddress(recipient.address);
    if (!address.ok) return { type: 'failed', failure: address.failure };
    const from = sender === '' ? null : parseAddress(sender);
    const decision = await decide(deps, {
      recipient: address.value,
      original: recipient.original,
      client: { kind: source.kind, address: source.address, user: source.user },
      sender: from?.ok ? from.value : null,
      declaredSizeBytes: 0,
      settings: settings(),
      purpose: 'queue',
    });
    if (recipient.rule === LOOP_RULE && decision.target?.type === 'external') {
      const text = `<${recipient.address}> the message came back to this server: a mail loop`;
      return { type: 'failed', failure: failure(554, '5.4.6', text) };
    }
    const made = outcome(decision);
    // The forward host of a domain is ours: it gets the sender as it is.
    if (made.type !== 'send' || made.target.type !== 'external' || !from?.ok) return made;
    const { original } = recipient;
    const request = { address: address.value.text, original, sender: from.value, settings: settings() };
    const use = await outwardSender(deps, request);
    return use === from.value.text ? made : { ...made, sender: use };
  };
}

function outcome(decision: Decision): Awaited<ReturnType<Redecide>> {
  const { reply, target, assumedExternal } = decision;
  if (reply.code >= 400) {
    const failed = failure(reply.code, reply.enhanced ?? '5.0.0', reply.lines.join(' '));
    return { type: failed.temporary ? 'deferred' : 'failed', failure: failed };
  }
  if (target !== null) return { type: 'send', target, assumedExternal };
  return { type: 'expanded', into: decision.recipients };
}
