/** Tests that connect somewhere: the SMTP host, the way out. */
import { useMutation } from '@tanstack/react-query';
import { type AnswerOf, call } from './client.ts';
import type { SettingChangeInput } from './settings.ts';

export type Finding = AnswerOf<'POST /check'>['findings'][number];

/** EHLO, TLS and AUTH with the SMTP host as it would be with these changes. */
export function useHostTest() {
  return useMutation({
    mutationFn: async (changes: readonly SettingChangeInput[]) =>
      (await call('POST /check/smtp-host', { body: { changes: [...changes] } })).findings,
  });
}

/** Whether the port for sending is open outward, asked with the servers of a domain. */
export function useOutboundProbe() {
  return useMutation({
    mutationFn: async (domain: string) => (await call('POST /check/outbound', { body: { domain } })).findings,
  });
}

/** Everything: configuration, DNS, ports, disk, clock; takes up to half a minute. */
export function useCheck() {
  return useMutation({ mutationFn: async () => (await call('POST /check', { body: {} })).findings });
}
