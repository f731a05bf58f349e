/** A destination rule as text, such as `example.com route=mx tls=verify hold`, and in parts for a form. */

export interface RuleParts {
  readonly domain: string;
  /** '', `mx`, `smtp-host`, `smtp-host:2` or `host`. */
  readonly route: string;
  /** With the route `host`: its name, and port where it has one. */
  readonly host: string;
  readonly port: string;
  readonly tls: string;
  readonly concurrency: string;
  readonly rate: string;
  readonly ipv4: boolean;
  readonly hold: boolean;
  /** Words this form does not know; they stay as they are. */
  readonly others: readonly string[];
}

export const NO_PARTS: RuleParts = {
  ...{ domain: '', route: '', host: '', port: '', tls: '', concurrency: '', rate: '' },
  ...{ ipv4: false, hold: false, others: [] },
};

/** The entries of the setting's text. */
export function entriesOf(text: string): readonly string[] {
  return text
    .split(',')
    .map((entry) => entry.trim())
    .filter((entry) => entry !== '');
}

export function partsOf(entry: string): RuleParts {
  const [domain = '', ...words] = entry.split(/\s+/);
  const others: string[] = [];
  let parts: RuleParts = { ...NO_PARTS, domain };
  for (const word of words) {
    const equals = word.indexOf('=');
    const key = (equals < 0 ? word : word.slice(0, equals)).toLowerCase();
    const value = equals < 0 ? '' : word.slice(equals + 1);
    if (key === 'route' && /^host:/i.test(value)) parts = { ...parts, route: 'host', host: value.slice(5) };
    else if (key === 'route') parts = { ...parts, route: value.toLowerCase() };
    else if (key === 'port' || key === 'tls' || key === 'concurrency' || key === 'rate')
      parts = { ...parts, [key]: value };
    else if ((key === 'ipv4' || key === 'hold') && equals < 0) parts = { ...parts, [key]: true };
    else if (key !== 'default') others.push(word);
  }
  return { ...parts, others };
}

export function entryOf(parts: RuleParts): string {
  const { domain, route, host, port, tls, concurrency, rate, ipv4, hold, others } = parts;
  const numbers = Object.entries({ tls, concurrency, rate }).map(([key, value]) =>
    value.trim() === '' ? '' : `${key}=${bare(value)}`,
  );
  const words = [
    route === '' ? '' : `route=${route === 'host' ? `host:${bare(host)}` : route}`,
    // A host of a rule has its port behind its name.
    port.trim() === '' || (route !== '' && route !== 'mx') ? '' : `port=${bare(port)}`,
    ...numbers,
    ipv4 ? 'ipv4' : '',
    hold ? 'hold' : '',
    ...others,
  ].filter((word) => word !== '');
  return [bare(domain), ...(words.length === 0 ? ['default'] : words)].join(' ');
}

/** What stands between entries and between words has no place inside of one. */
function bare(text: string): string {
  return text.replace(/[\s,]+/g, '');
}
