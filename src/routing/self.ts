/** Who "ourselves" is when a route is looked for (BEHAVIOUR "Hosted domain sent outward"). */
import { isIP } from 'node:net';
import { networkInterfaces } from 'node:os';
import type { Settings } from '../settings/values.ts';
import { canonicalAddress } from './ip.ts';

/** What the running server knows of itself. */
export interface SelfDescription {
  readonly hostname: string;
  /** The open SMTP listeners, with the ports they really have. */
  readonly listeners: readonly { readonly address: string; readonly port: number }[];
}

/** Tells ourselves from others. */
export interface Ourselves {
  /** The `hostname` or one of `smtp.ownNames`. */
  isOwnName(name: string): boolean;
  /** An address of this machine with an SMTP listener of ours there, or one of `smtp.ownAddresses` with one on that port. */
  isOwnEndpoint(address: string, port: number): boolean;
  /** Whether a host that someone entered (SMTP host, forward host) is this server by its text alone, without DNS. */
  isOwnHost(host: string, port: number): boolean;
}

/** Asking the system costs more than the rest of a route; an address that is new counts within this time. */
const INTERFACES_KEPT_MS = 1_000;
let interfacesAtMs = Number.NEGATIVE_INFINITY;
let interfaceAddresses: readonly string[] = [];

/** The addresses of this machine's interfaces, at most a second old. */
export function machineAddresses(): readonly string[] {
  const now = performance.now();
  if (now - interfacesAtMs > INTERFACES_KEPT_MS) {
    interfacesAtMs = now;
    interfaceAddresses = Object.values(networkInterfaces()).flatMap(
      (list) => list?.map((entry) => entry.address) ?? [],
    );
  }
  return interfaceAddresses;
}

export function ourselves(
  self: SelfDescription,
  settings: Pick<Settings, 'ownNames' | 'ownAddresses'>,
  interfaces: readonly string[],
): Ourselves {
  const names = new Set([self.hostname, ...settings.ownNames].map(canonicalName));
  const ownAddresses = new Set(settings.ownAddresses.map(canonicalAddress));
  const machine = new Set(interfaces.map(canonicalAddress));
  const listenersOn = (port: number) => self.listeners.filter((listener) => listener.port === port);

  const isOwnName = (name: string) => names.has(canonicalName(name));
  const isOwnEndpoint = (text: string, port: number) => {
    const address = canonicalAddress(text);
    const listeners = listenersOn(port);
    if (listeners.length === 0) return false;
    if (ownAddresses.has(address)) return true;
    const here = isUnspecified(address) || isLoopback(address) || machine.has(address);
    return listeners.some(({ address: own }) => {
      const listening = canonicalAddress(own);
      if (listening === address) return true;
      if (isUnspecified(listening)) return here;
      // Dialling 0.0.0.0 or :: reaches the loopback address.
      return isUnspecified(address) && isLoopback(listening);
    });
  };
  const isOwnHost = (host: string, port: number) => {
    if (isIP(bare(host)) !== 0) return isOwnEndpoint(bare(host), port);
    if (canonicalName(host) === 'localhost') {
      return isOwnEndpoint('127.0.0.1', port) || isOwnEndpoint('::1', port);
    }
    return isOwnName(host) && listenersOn(port).length > 0;
  };
  return { isOwnName, isOwnEndpoint, isOwnHost };
}

function canonicalName(name: string): string {
  return name.toLowerCase().replace(/\.$/, '');
}

function bare(host: string): string {
  return host.replace(/^\[(.*)\]$/, '$1');
}

function isUnspecified(address: string): boolean {
  return address === '0.0.0.0' || address === '::';
}

function isLoopback(address: string): boolean {
  return address === '::1' || /^127\./.test(address);
}
