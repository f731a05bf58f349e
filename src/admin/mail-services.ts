/** The services that people's mail programs use, and at which port they are found from outside. */
import { isLoopbackName } from '../settings/networks.ts';

export type MailServiceName = 'submissions' | 'submission' | 'pop3s' | 'pop3';

export interface MailService {
  /** As the listener is called in cmail.toml. */
  readonly name: MailServiceName;
  readonly protocol: 'smtp' | 'pop3';
  /** TLS from the first byte, or by STARTTLS / STLS. */
  readonly implicitTls: boolean;
  readonly usualPort: number;
  /** RFC 6186 §3, RFC 8314 §5.1. */
  readonly srvName: string;
}

/** Port of each service as mail programs are told it; null: there is no such service. */
export type MailServicePorts = Readonly<Record<MailServiceName, number | null>>;

/** Of each protocol the better one first (RFC 8314 §3: implicit TLS). */
export const MAIL_SERVICES: readonly MailService[] = [
  {
    name: 'submissions',
    protocol: 'smtp',
    implicitTls: true,
    usualPort: 465,
    srvName: '_submissions._tcp',
  },
  { name: 'submission', protocol: 'smtp', implicitTls: false, usualPort: 587, srvName: '_submission._tcp' },
  { name: 'pop3s', protocol: 'pop3', implicitTls: true, usualPort: 995, srvName: '_pop3s._tcp' },
  { name: 'pop3', protocol: 'pop3', implicitTls: false, usualPort: 110, srvName: '_pop3._tcp' },
];

/**
 * What mail programs are told. `listeners` are `address:port` by the listener's name; `publicPorts` is [public] of
 * cmail.toml, which is right whatever the listeners are. A listener that only this machine reaches has something in
 * front of it, and that has the usual port; any other one is reached at its own.
 */
export function mailServicePorts(
  listeners: Readonly<Record<string, readonly string[]>>,
  publicPorts: Readonly<Partial<Record<MailServiceName, number>>>,
): MailServicePorts {
  const ports = MAIL_SERVICES.map(({ name, usualPort }) => {
    const configured = publicPorts[name];
    return [name, configured ?? portOf(listeners[name] ?? [], usualPort)] as const;
  });
  return Object.fromEntries(ports) as MailServicePorts;
}

function portOf(endpoints: readonly string[], usualPort: number): number | null {
  if (endpoints.length === 0) return null;
  const ports = endpoints
    .map((endpoint) => /^\[?(.*?)\]?:(\d+)$/.exec(endpoint))
    .filter((parts) => !isLoopbackName(parts?.[1] ?? ''))
    .map((parts) => Number(parts?.[2]));
  return ports.includes(usualPort) ? usualPort : (ports[0] ?? usualPort);
}
