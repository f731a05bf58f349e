/** Servers of an external domain by MX, implicit MX or address literal (RFC 5321 §5.1). */
import type { AddressRecord, Answer, MxRecord, Resolver } from '../dns/contract.ts';
import {
  type AddressLimits,
  addressSteps,
  describeNone,
  limitHosts,
  type Sorted,
  sortAddresses,
} from './addresses.ts';
import type { RouteFailure, RouteHost, RouteStep } from './contract.ts';
import { routeFailure } from './failures.ts';
import { dropOurselves, orderMx } from './mx-list.ts';
import type { Ourselves } from './self.ts';

export interface MxQuestion {
  readonly domain: string;
  readonly port: number;
  readonly limits: AddressLimits;
  readonly fresh: boolean;
}

export interface MxContext {
  readonly resolver: Resolver;
  readonly us: Ourselves;
  readonly random: () => number;
}

export interface MxFindings {
  readonly hosts: readonly RouteHost[];
  /** Set exactly when there are no hosts. */
  readonly failure: RouteFailure | null;
  readonly mx: Answer<MxRecord> | null;
  readonly steps: readonly RouteStep[];
}

type Looked = MxRecord & { readonly answer: Answer<AddressRecord>; readonly sorted: Sorted };

/** Names of an MX list that are looked up in one attempt: more than are tried, since some may lead nowhere. */
const MAX_LOOKUPS = 10;

function fail(
  failure: RouteFailure,
  steps: readonly RouteStep[],
  mx: Answer<MxRecord> | null = null,
): MxFindings {
  return { hosts: [], failure, mx, steps: [...steps, { kind: 'route', text: failure.text }] };
}

const noAnswer = (text: string): RouteFailure => routeFailure('no-answer', text);
const noAddress = (text: string): RouteFailure => routeFailure('no-address', text);
const unreachable = (text: string): RouteFailure => routeFailure('unreachable', text);
const ownLoop = (text: string): RouteFailure => routeFailure('self', text);

/** Finds the servers of an external domain, or says which row of "When MX fails" applies. */
export async function findByMx(question: MxQuestion, context: MxContext): Promise<MxFindings> {
  const { domain, fresh } = question;
  if (domain.startsWith('[')) return byLiteral(question, context);
  const mx = await context.resolver.mx(domain, { fresh });
  switch (mx.status) {
    case 'no-answer':
      return fail(noAnswer(`DNS gave no answer about the MX records of ${domain}: ${mx.detail}`), [], mx);
    case 'nxdomain': {
      return fail(routeFailure('nxdomain', `the domain ${domain} does not exist in DNS`), [], mx);
    }
    case 'nodata':
      return { ...(await implicit(question, context, aliasSteps(domain, mx.canonicalName))), mx };
    case 'ok':
      return {
        ...(await byRecords(question, context, mx.records, aliasSteps(domain, mx.canonicalName))),
        mx,
      };
  }
}

function aliasSteps(domain: string, canonicalName: string): readonly RouteStep[] {
  return canonicalName === domain ? [] : [{ kind: 'dns', text: `${domain} is an alias of ${canonicalName}` }];
}

function byLiteral({ domain, port, limits }: MxQuestion, { us }: MxContext): MxFindings {
  const address = /^\[(?:IPv6:)?([^\]]*)\]$/i.exec(domain)?.[1] ?? '';
  const steps: RouteStep[] = [{ kind: 'rule', text: `${domain} is an address literal: no lookup is needed` }];
  const sorted = sortAddresses([address], port, us, limits);
  if (sorted.own) return fail(ownLoop(`${domain} is this server itself`), steps);
  const rejected = sorted.rejected[0];
  if (rejected !== undefined) {
    return fail(unreachable(`${domain} is not dialled: it is ${rejected.reason}`), steps);
  }
  const host = { name: address, port, preference: null, addresses: sorted.addresses, rejected: [] };
  return { hosts: [host], failure: null, mx: null, steps };
}

/** No MX: the domain itself is the host. */
async function implicit(
  { domain, port, limits, fresh }: MxQuestion,
  { resolver, us }: MxContext,
  before: readonly RouteStep[],
): Promise<MxFindings> {
  const steps: RouteStep[] = [
    ...before,
    { kind: 'dns', text: `${domain} has no MX: its own addresses count` },
  ];
  const answer = await resolver.addresses(domain, { fresh });
  if (answer.status === 'no-answer') return fail(noAnswer(describeNone(domain, answer)), steps);
  if (answer.status !== 'ok') {
    return fail(noAddress(`${domain} exists in DNS but has no MX, A or AAAA record`), steps);
  }
  const found = answer.records.map(({ address }) => address);
  const sorted = sortAddresses(found, port, us, limits);
  steps.push(...addressSteps(domain, port, sorted));
  if (sorted.own || us.isOwnName(domain))
    return fail(ownLoop(`${domain} leads to this server itself`), steps);
  if (sorted.addresses.length === 0) {
    return fail(unreachable(`no address of ${domain} may be dialled`), steps);
  }
  const host = {
    name: domain,
    port,
    preference: null,
    addresses: sorted.addresses,
    rejected: sorted.rejected,
  };
  const limited = limitHosts([host]);
  return { hosts: limited.hosts, failure: null, mx: null, steps: [...steps, ...limited.steps] };
}

async function byRecords(
  question: MxQuestion,
  context: MxContext,
  records: readonly MxRecord[],
  before: readonly RouteStep[],
): Promise<MxFindings> {
  const { domain } = question;
  const list = orderMx(domain, records, context.random);
  const steps = [...before, ...list.steps];
  if (list.isNullMx) {
    const text = `${domain} says that it takes no mail (null MX, RFC 7505)`;
    return fail({ kind: 'null-mx', status: '5.1.10', action: 'notice', text }, steps);
  }
  if (list.records.length === 0) return fail(unreachable(`no MX record of ${domain} can be used`), steps);
  const byName = dropOurselves(list.records, ({ exchange }) => context.us.isOwnName(exchange));
  steps.push(...droppedSteps(byName.dropped));

  const looked = await lookUp(byName.kept.slice(0, MAX_LOOKUPS), question, context);
  const byAddress = dropOurselves(looked, ({ sorted }) => sorted.own);
  for (const host of looked) steps.push(...hostSteps(host, question.port));
  steps.push(...droppedSteps(byAddress.dropped));
  if (byAddress.kept.length === 0) {
    return fail(ownLoop(`the MX records of ${domain} lead only to this server itself`), steps);
  }
  return usableHosts(question, byAddress.kept, steps);
}

function usableHosts(
  { domain, port }: MxQuestion,
  looked: readonly Looked[],
  before: readonly RouteStep[],
): MxFindings {
  const usable = looked
    .filter(({ sorted }) => sorted.addresses.length > 0)
    .map(({ exchange, preference, sorted }): RouteHost => {
      return { name: exchange, port, preference, addresses: sorted.addresses, rejected: sorted.rejected };
    });
  const limited = limitHosts(usable);
  const steps = [...before, ...limited.steps];
  if (limited.hosts.length > 0) return { hosts: limited.hosts, failure: null, mx: null, steps };
  const reasons = looked.map(({ exchange, answer }) =>
    answer.status === 'ok' ? `no address of ${exchange} may be dialled` : describeNone(exchange, answer),
  );
  return fail(unreachable(`no MX host of ${domain} can be reached: ${reasons.join('; ')}`), steps);
}

function lookUp(
  records: readonly MxRecord[],
  { port, limits, fresh }: MxQuestion,
  { resolver, us }: MxContext,
): Promise<readonly Looked[]> {
  return Promise.all(
    records.map(async (record) => {
      const answer = await resolver.addresses(record.exchange, { fresh });
      const found = answer.status === 'ok' ? answer.records.map(({ address }) => address) : [];
      return { ...record, answer, sorted: sortAddresses(found, port, us, limits) };
    }),
  );
}

function hostSteps({ exchange, answer, sorted }: Looked, port: number): readonly RouteStep[] {
  if (answer.status === 'ok') return addressSteps(exchange, port, sorted);
  return [{ kind: 'address', text: describeNone(exchange, answer) }];
}

function droppedSteps(dropped: readonly MxRecord[]): readonly RouteStep[] {
  if (dropped.length === 0) return [];
  const names = dropped.map(({ preference, exchange }) => `${preference} ${exchange}`).join(', ');
  return [{ kind: 'dns', text: `ourselves, or no better than ourselves, and so left out: ${names}` }];
}
