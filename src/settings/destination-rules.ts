/**
 * Rules for single destinations: where their mail goes, how many sessions and messages they get, which TLS
 * they must have, whether it is held. One list setting, `smtp.destinationRules`; an entry is
 * `DOMAIN WORD WORD…`, as in `example.com route=host:relay.example.net:2525 tls=verify concurrency=2`.
 */
import { canonicalDomain, formatAddressLiteral, parseAddressLiteral } from '../mail/address.ts';
import { parseIpAddress } from './networks.ts';
import { type Parsed, parsed, parseInteger, splitList, unparsed } from './text.ts';
import type { SettingType } from './types.ts';

/** Which of the SMTP hosts: 1 is `smtp.host.*`, 2 to 4 are `smtp.host2.*` to `smtp.host4.*`. */
export type SmtpHostNumber = 1 | 2 | 3 | 4;

/** Where mail for a destination goes in place of what the settings say. */
export type RuleRoute =
  | { readonly type: 'mx' }
  /** `which` null: the SMTP hosts in their order. */
  | { readonly type: 'smtp-host'; readonly which: SmtpHostNumber | null }
  /** `name` is a host name or an address without brackets; found by its address, never by MX. */
  | { readonly type: 'host'; readonly name: string; readonly port: number };

/**
 * TLS towards the servers of a destination. `none`: never; `opportunistic`: when offered, else in clear;
 * `encrypt`: TLS with any certificate, or no mail; `verify`: TLS with a trusted certificate for the host's
 * name, or no mail.
 */
export type RuleTls = 'none' | 'opportunistic' | 'encrypt' | 'verify';
export const RULE_TLS_LEVELS: readonly RuleTls[] = ['none', 'opportunistic', 'encrypt', 'verify'];

/** What is said of a destination; null and false where a rule says nothing and the settings stand. */
export interface DestinationRule {
  /** `example.com`, `*.example.com`, `*` or an address literal; null when no rule is for the domain. */
  readonly pattern: string | null;
  readonly route: RuleRoute | null;
  /** Port on servers found by MX, in place of `smtp.outboundPort`. */
  readonly port: number | null;
  readonly tls: RuleTls | null;
  /** Most sessions at once, of one node. */
  readonly concurrency: number | null;
  /** Most messages in a minute, of one node. */
  readonly ratePerMinute: number | null;
  /** IPv6 addresses of the servers are left alone. */
  readonly ipv4Only: boolean;
  /** Nothing is sent; mail that is waiting and mail that arrives is held. */
  readonly hold: boolean;
}

export const MAX_DESTINATION_RULES = 500;
/** The port of a host named in a rule without one. */
const DEFAULT_PORT = 25;
const MAX_CONCURRENCY = 1000;
const MAX_RATE = 100_000;
const EXAMPLE = 'example.com route=smtp-host';

/** The rule of a domain for which there is none. */
const NO_RULE: DestinationRule = Object.freeze({
  pattern: null,
  route: null,
  port: null,
  tls: null,
  concurrency: null,
  ratePerMinute: null,
  ipv4Only: false,
  hold: false,
});

type Rules = readonly DestinationRule[];
/** Rules by their pattern; a list of rules never changes. */
const indexes = new WeakMap<Rules, ReadonlyMap<string, DestinationRule>>();

/**
 * The rule for a domain (lower-case A-labels, or an address literal): its own before `*.` of the nearest domain
 * above it before `*`. One rule applies, whole; rules are not added together. Without any: `pattern` null.
 */
export function destinationRule(
  settings: { readonly destinationRules: Rules },
  domain: string,
): DestinationRule {
  const rules = settings.destinationRules;
  if (rules.length === 0) return NO_RULE;
  let index = indexes.get(rules);
  if (index === undefined) {
    index = new Map(rules.map((rule) => [rule.pattern ?? '', rule]));
    indexes.set(rules, index);
  }
  const own = index.get(domain);
  if (own !== undefined) return own;
  for (let dot = literalOrDot(domain, 0); dot !== -1; dot = domain.indexOf('.', dot + 1)) {
    const above = index.get(`*${domain.slice(dot)}`);
    if (above !== undefined) return above;
  }
  return index.get('*') ?? NO_RULE;
}

/** What the rule that holds a domain's mail is for; null when none does. */
export function holdingRule(settings: { readonly destinationRules: Rules }, domain: string): string | null {
  const rule = destinationRule(settings, domain);
  return rule.hold ? rule.pattern : null;
}

/** An address literal has dots and no domain above it. */
function literalOrDot(domain: string, from: number): number {
  return domain.startsWith('[') ? -1 : domain.indexOf('.', from);
}

/** The setting's type: a list of rules, each pattern once. */
export const destinationRulesType: SettingType<Rules> = {
  name: 'list',
  unit: '',
  range: `rules such as ${EXAMPLE}; 0–${MAX_DESTINATION_RULES} entries`,
  parse: parseDestinationRules,
  format: (rules) => rules.map(formatDestinationRule).join(','),
  toJson: (rules) => rules.map(formatDestinationRule),
};

function parseDestinationRules(text: string): Parsed<Rules> {
  const entries = splitList(text);
  if (entries.length > MAX_DESTINATION_RULES) return unparsed(`more than ${MAX_DESTINATION_RULES} entries`);
  const rules: DestinationRule[] = [];
  const seen = new Set<string | null>();
  for (const [index, entry] of entries.entries()) {
    const where = `entry ${index + 1} ("${entry}")`;
    if (entry === '') return unparsed(`entry ${index + 1}, between two commas, is empty`, EXAMPLE);
    const rule = parseDestinationRule(entry);
    if (!rule.ok) return unparsed(`${where}: ${rule.reason}`, rule.wouldDo ?? EXAMPLE);
    if (seen.has(rule.value.pattern)) {
      const text = `${where}: there is a rule for ${rule.value.pattern} already`;
      return unparsed(text, 'one entry with the words of both');
    }
    seen.add(rule.value.pattern);
    rules.push(rule.value);
  }
  return parsed(Object.freeze(rules));
}

type Draft = { -readonly [Key in keyof DestinationRule]: DestinationRule[Key] };

/** One entry, such as `*.example.com tls=verify ipv4`. */
export function parseDestinationRule(entry: string): Parsed<DestinationRule> {
  const [first = '', ...words] = entry.trim().split(/\s+/);
  const pattern = parseRulePattern(first);
  if (!pattern.ok) return pattern;
  if (words.length === 0) {
    const reason = `says nothing about ${pattern.value}; a word such as route=, tls= or hold is missing`;
    return unparsed(reason, `${pattern.value} hold, or "${pattern.value} default" for no rule at all,`);
  }
  const draft: Draft = { ...NO_RULE, pattern: pattern.value };
  const given = new Set<string>();
  for (const word of words) {
    const [name = '', ...rest] = word.split('=');
    const key = name.toLowerCase();
    if (given.has(key)) return unparsed(`the word ${key} is there twice`, 'one of them');
    given.add(key);
    const value = rest.length === 0 ? null : rest.join('=');
    const problem = applyWord(draft, key, value, word);
    if (problem !== null) return problem;
  }
  const clash = clashOf(draft, given);
  return clash ?? parsed(Object.freeze({ ...draft }));
}

type Problem = Extract<Parsed<never>, { ok: false }>;

function problem(reason: string, wouldDo: string): Problem {
  return { ok: false, reason, wouldDo };
}

/** Words that do not go together. */
function clashOf(draft: DestinationRule, given: ReadonlySet<string>): Problem | null {
  if (given.has('default') && given.size > 1) {
    return problem('"default" means no rule at all and stands alone', `${draft.pattern} default`);
  }
  if (draft.port !== null && draft.route !== null && draft.route.type !== 'mx') {
    const reason = 'port= is for servers found by MX; the host of this route has a port of its own';
    const { route } = draft;
    const instead =
      route.type === 'host' ? routeWord({ ...route, port: draft.port }) : 'smtp.host.port of that SMTP host';
    return problem(reason, instead);
  }
  if (draft.tls !== null && draft.route?.type === 'smtp-host') {
    return problem('tls= is not for an SMTP host, which has its own TLS setting', 'smtp.host.tls');
  }
  return null;
}

const WORDS = 'route=, port=, tls=, concurrency=, rate=, ipv4, hold, default';

/** Null when the word was understood. */
function applyWord(draft: Draft, key: string, value: string | null, word: string): Problem | null {
  switch (key) {
    case 'ipv4':
    case 'hold':
    case 'default': {
      if (value !== null) return problem(`"${word}": the word ${key} takes no value`, key);
      if (key === 'ipv4') draft.ipv4Only = true;
      if (key === 'hold') draft.hold = true;
      return null;
    }
    case 'route': {
      const route = parseRoute(value ?? '');
      if (route.ok) draft.route = route.value;
      return route.ok ? null : problem(`"${word}": ${route.reason}`, route.wouldDo ?? 'route=mx');
    }
    case 'tls': {
      const level = RULE_TLS_LEVELS.find((one) => one === value?.toLowerCase());
      if (level !== undefined) draft.tls = level;
      if (level !== undefined) return null;
      return problem(`"${word}": not one of ${RULE_TLS_LEVELS.join(', ')}`, 'tls=verify');
    }
    case 'port':
      return applyNumber(word, value, 65_535, (number) => {
        draft.port = number;
      });
    case 'concurrency':
      return applyNumber(word, value, MAX_CONCURRENCY, (number) => {
        draft.concurrency = number;
      });
    case 'rate':
      return applyNumber(word, value, MAX_RATE, (number) => {
        draft.ratePerMinute = number;
      });
    default:
      return problem(`"${word}" is not a word of a rule; there are ${WORDS}`, EXAMPLE);
  }
}

function applyNumber(
  word: string,
  value: string | null,
  max: number,
  apply: (number: number) => void,
): Problem | null {
  const number = parseInteger(value ?? '');
  if (number.ok && number.value >= 1 && number.value <= max) {
    apply(number.value);
    return null;
  }
  const key = word.split('=')[0] ?? '';
  const example = key === 'port' ? 'port=25' : `${key}=10`;
  return problem(`"${word}": needs a whole number from 1 to ${max}`, example);
}

/** What a rule is for, in canonical form. */
export function parseRulePattern(text: string): Parsed<string> {
  if (text === '*') return parsed('*');
  const literal = parseAddressLiteral(text);
  if (literal !== undefined) return parsed(formatAddressLiteral(literal));
  const below = text.startsWith('*.');
  const name = below ? text.slice(2) : text;
  const domain = /[\s@:/[\]=*]/.test(name) ? undefined : canonicalDomain(name);
  if (domain !== undefined) return parsed(below ? `*.${domain}` : domain);
  const reason = `"${text}" is not a domain, *.domain or *, with which a rule begins`;
  const at = canonicalDomain(text.slice(text.lastIndexOf('@') + 1));
  return unparsed(reason, at ?? 'example.com');
}

function parseRoute(text: string): Parsed<RuleRoute> {
  const lower = text.toLowerCase();
  if (lower === 'mx') return parsed({ type: 'mx' });
  if (lower === 'smtp-host') return parsed({ type: 'smtp-host', which: null });
  const numbered = /^smtp-host:(.*)$/.exec(lower);
  if (numbered !== null) {
    const which = parseSmtpHostNumber(numbered[1] ?? '');
    if (which === undefined) return unparsed('the SMTP hosts are numbered 1 to 4', 'route=smtp-host:2');
    return parsed({ type: 'smtp-host', which });
  }
  if (lower.startsWith('host:')) return parseHostAndPort(text.slice(5));
  return unparsed('not mx, smtp-host, smtp-host:NUMBER or host:NAME', 'route=host:relay.example.net:25');
}

export function parseSmtpHostNumber(text: string): SmtpHostNumber | undefined {
  return ([1, 2, 3, 4] as const).find((one) => String(one) === text.trim());
}

/** `relay.example.net`, `relay.example.net:2525`, `192.0.2.1:2525`, `[2001:db8::1]:2525`. */
function parseHostAndPort(text: string): Parsed<RuleRoute> {
  const match = /^(\[[^\]]*\]|[^:]*)(?::(.*))?$/.exec(text);
  const bare = match === null ? text : (match[1] ?? '');
  const address = parseIpAddress(bare);
  const name = address.ok ? address.value : /[\s@:/[\]=*]/.test(bare) ? undefined : canonicalDomain(bare);
  if (name === undefined) {
    return unparsed(`"${bare}" is not a host name or address`, 'route=host:relay.example.net:25');
  }
  const port = match?.[2] === undefined ? parsed(DEFAULT_PORT) : parseInteger(match[2]);
  if (!port.ok || port.value < 1 || port.value > 65_535) {
    const wouldDo = routeWord({ type: 'host', name, port: DEFAULT_PORT });
    return unparsed('the port needs a whole number from 1 to 65535', wouldDo);
  }
  return parsed({ type: 'host', name, port: port.value });
}

/** A route as a rule has it: `route=mx`, `route=host:relay.example.net:25`. */
function routeWord(route: RuleRoute): string {
  if (route.type === 'mx') return 'route=mx';
  if (route.type === 'smtp-host') return `route=smtp-host${route.which === null ? '' : `:${route.which}`}`;
  const host = route.name.includes(':') ? `[${route.name}]` : route.name;
  return `route=host:${host}:${route.port}`;
}

/** The words of a rule without its domain, in canonical order. */
export function ruleWords(rule: DestinationRule): string {
  const words = [
    rule.route === null ? '' : routeWord(rule.route),
    rule.port === null ? '' : `port=${rule.port}`,
    rule.tls === null ? '' : `tls=${rule.tls}`,
    rule.concurrency === null ? '' : `concurrency=${rule.concurrency}`,
    rule.ratePerMinute === null ? '' : `rate=${rule.ratePerMinute}`,
    rule.ipv4Only ? 'ipv4' : '',
    rule.hold ? 'hold' : '',
  ].filter((word) => word !== '');
  return words.length === 0 ? 'default' : words.join(' ');
}

/** One entry in canonical text. */
export function formatDestinationRule(rule: DestinationRule): string {
  return `${rule.pattern ?? '*'} ${ruleWords(rule)}`;
}
