/** Which way mail for a domain goes, and which rule or setting says so, before anything is looked up. */
import { type DestinationRule, destinationRule, ruleWords } from '../settings/destination-rules.ts';
import { senderHost, smtpHostsOf } from '../settings/smtp-host-table.ts';
import type { Settings, SmtpHost } from '../settings/values.ts';
import type { RouteStep } from './contract.ts';

export type Way =
  | { readonly type: 'mx' }
  | { readonly type: 'smtp-host'; readonly hosts: readonly SmtpHost[] }
  | { readonly type: 'host'; readonly name: string; readonly port: number };

export interface ChosenWay {
  readonly way: Way;
  readonly rule: DestinationRule;
  readonly steps: readonly RouteStep[];
}

/**
 * The rule for the destination first, then a sender that always has an SMTP host of its own, then whether MX
 * resolution is on. `sender` is the envelope sender, '' for none.
 */
export function chooseWay(settings: Settings, domain: string, sender: string): ChosenWay {
  const rule = destinationRule(settings, domain);
  const steps: RouteStep[] = [...ruleSteps(rule)];
  const chosen = (way: Way): ChosenWay => ({ way, rule, steps });
  const bySmtpHost = (): ChosenWay => {
    const { hosts, step } = smtpHostsFor(settings, sender);
    if (step !== null) steps.push(step);
    return chosen({ type: 'smtp-host', hosts });
  };
  switch (rule.route?.type) {
    case 'mx':
    case 'host':
      return chosen(rule.route);
    case 'smtp-host': {
      const { which } = rule.route;
      if (which === null) return bySmtpHost();
      return chosen({ type: 'smtp-host', hosts: smtpHostsOf(settings).filter((one) => one.which === which) });
    }
  }
  if (senderHost(settings, sender)?.always === true) return bySmtpHost();
  if (settings.useMxResolution) return chosen({ type: 'mx' });
  const text = 'MX resolution is off: everything external goes to the SMTP host';
  steps.push({ kind: 'rule', text });
  return bySmtpHost();
}

/** What the timeline and explain say of the rule for a destination; nothing when there is none. */
export function ruleSteps(rule: DestinationRule): readonly RouteStep[] {
  if (rule.pattern === null) return [];
  const steps: RouteStep[] = [{ kind: 'rule', text: `rule for ${rule.pattern}: ${ruleWords(rule)}` }];
  if (rule.hold) steps.push({ kind: 'rule', text: heldWords(rule) });
  return steps;
}

export function heldWords({ pattern }: DestinationRule): string {
  return `the rule for ${pattern} holds this mail: it is neither tried nor given up until the rule holds it no more`;
}

/** The SMTP hosts for mail of this sender, in the order to try them. */
export function smtpHostsFor(
  settings: Settings,
  sender: string,
): { readonly hosts: readonly SmtpHost[]; readonly step: RouteStep | null } {
  const hosts = smtpHostsOf(settings);
  const own = senderHost(settings, sender);
  if (own === null) return { hosts, step: null };
  const always = own.always ? ', always' : '';
  const text = `mail from ${own.sender} goes by SMTP host ${own.which}${always} (smtp.senderHosts)`;
  return { hosts: hosts.filter(({ which }) => which === own.which), step: { kind: 'rule', text } };
}
