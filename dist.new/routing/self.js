/** Who "ourselves" is when a route is looked for (BEHAVIOUR "Hosted domain sent outward"). */
import { isIP } from 'node:net';
import { networkInterfaces } from 'node:os';
import { canonicalAddress } from './ip.js';
/** Asking the system costs more than the rest of a route; an address that is new counts within this time. */
const INTERFACES_KEPT_MS = 1_000;
let interfacesAtMs = Number.NEGATIVE_INFINITY;
let interfaceAddresses = [];
/** The addresses of this machine's interfaces, at most a second old. */
export function machineAddresses() {
    const now = performance.now();
    if (now - interfacesAtMs > INTERFACES_KEPT_MS) {
        interfacesAtMs = now;
        interfaceAddresses = Object.values(networkInterfaces()).flatMap((list) => list?.map((entry) => entry.address) ?? []);
    }
    return interfaceAddresses;
}
export function ourselves(self, settings, interfaces) {
    const names = new Set([self.hostname, ...settings.ownNames].map(canonicalName));
    const ownAddresses = new Set(settings.ownAddresses.map(canonicalAddress));
    const machine = new Set(interfaces.map(canonicalAddress));
    const listenersOn = (port) => self.listeners.filter((listener) => listener.port === port);
    const isOwnName = (name) => names.has(canonicalName(name));
    const isOwnEndpoint = (text, port) => {
        const address = canonicalAddress(text);
        const listeners = listenersOn(port);
        if (listeners.length === 0)
            return false;
        if (ownAddresses.has(address))
            return true;
        const here = isUnspecified(address) || isLoopback(address) || machine.has(address);
        return listeners.some(({ address: own }) => {
            const listening = canonicalAddress(own);
            if (listening === address)
                return true;
            if (isUnspecified(listening))
                return here;
            // Dialling 0.0.0.0 or :: reaches the loopback address.
            return isUnspecified(address) && isLoopback(listening);
        });
    };
    const isOwnHost = (host, port) => {
        if (isIP(bare(host)) !== 0)
            return isOwnEndpoint(bare(host), port);
        if (canonicalName(host) === 'localhost') {
            return isOwnEndpoint('127.0.0.1', port) || isOwnEndpoint('::1', port);
        }
        return isOwnName(host) && listenersOn(port).length > 0;
    };
    return { isOwnName, isOwnEndpoint, isOwnHost };
}
function canonicalName(name) {
    return name.toLowerCase().replace(/\.$/, '');
}
function bare(host) {
    return host.replace(/^\[(.*)\]$/, '$1');
}
function isUnspecified(address) {
    return address === '0.0.0.0' || address === '::';
}
function isLoopback(address) {
    return address === '::1' || /^127\./.test(address);
}
