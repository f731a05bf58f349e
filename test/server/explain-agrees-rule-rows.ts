/** Rows of the table test about rules for destinations, several SMTP hosts and senders with one of their own. */
import { CLOSED, FALLBACK, FAR, OUTWARD, type Row, SECOND } from './explain-agrees-row.ts';

function served(domain: string): Readonly<Record<string, readonly string[]>> {
  return { [domain]: [`MX 10 mx.${domain}`], [`mx.${domain}`]: [`A ${FAR}`] };
}

/** `{port}` stands for the port all peers listen on. */
export const RULE_ROWS: readonly Row[] = [
  {
    name: 'a rule sends the destination to another host',
    ...{ client: 'local', to: 'x@rule-host.example', zones: served('rule-host.example'), connects: true },
    settings: { 'smtp.destinationRules': `rule-host.example route=host:${SECOND}:{port}` },
    ...{ told: { ...OUTWARD, via: 'host' }, step: /^rule for rule-host\.example: route=host:/ },
    ends: { at: 'second' },
  },
  {
    name: 'the host of a rule is out of reach, and nothing steps in although fallback is on',
    ...{ client: 'local', to: 'x@rule-closed.example', zones: served('rule-closed.example'), connects: true },
    settings: { ...FALLBACK, 'smtp.destinationRules': `rule-closed.example route=host:${CLOSED}:{port}` },
    told: { ...OUTWARD, via: 'host' },
    ends: { at: 'notice', status: '4.4.1', dialled: 'unreachable' },
  },
  {
    name: 'a rule sends the destination to the SMTP host although MX resolution is on',
    ...{ client: 'local', to: 'x@rule-smtp.example', zones: served('rule-smtp.example'), connects: true },
    settings: { 'smtp.destinationRules': '*.example route=smtp-host' },
    ...{ told: { ...OUTWARD, via: 'smtp-host' }, step: /^rule for \*\.example: route=smtp-host$/ },
    ends: { at: 'host' },
  },
  {
    name: 'a rule asks for TLS that the server does not offer, fallback on',
    ...{ client: 'local', to: 'x@rule-tls.example', zones: served('rule-tls.example'), connects: true },
    settings: { ...FALLBACK, 'smtp.destinationRules': 'rule-tls.example tls=verify' },
    told: { ...OUTWARD, via: 'mx' },
    ...{ heard: { at: 'far', stage: 'ehlo', reply: /TLS is required/ } },
    ends: { at: 'notice', status: '4.7.4', dialled: 'tls' },
  },
  {
    name: 'the first SMTP host is out of reach and the second takes it',
    ...{ client: 'local', to: 'x@two-hosts.example', connects: true },
    settings: {
      'smtp.useMxResolution': 'off',
      'smtp.host.name': CLOSED,
      'smtp.host2.name': 'relay.example',
      'smtp.host2.port': '{port}',
    },
    told: { ...OUTWARD, via: 'smtp-host' },
    ends: { at: 'host' },
  },
  {
    name: 'a sender whose mail always goes by the SMTP host',
    ...{ client: 'local', from: 'boss@our.example', to: 'x@own-host.example', connects: true },
    zones: served('own-host.example'),
    settings: { 'smtp.senderHosts': 'boss@our.example=1 always' },
    ...{ told: { ...OUTWARD, via: 'smtp-host' }, step: /^mail from boss@our\.example goes by SMTP host 1/ },
    ends: { at: 'host' },
  },
];
