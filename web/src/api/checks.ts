/** Tests that connect somewhere: the SMTP host, the way out. */
import { useMutation } from '@tanstack/react-query';
import { call } from './client.ts';
import type { SettingChangeInput } from './settings.ts';

export interface Finding {
  readonly level: 'ok' | 'warning' | 'error' | 'skipped';
  readonly topic: string;
  readonly text: string;
  readonly meaning?: string;
  readonly mend?: string;
}

interface Findings {
  readonly findings: readonly Finding[];
}

/** EHLO, TLS and AUTH with the SMTP host as it would be with these changes. */
export function useHostTest() {
  return useMutation({
    mutationFn: async (changes: readonly SettingChangeInput[]) =>
      (await call<Findings>('/check/smtp-host', { method: 'POST', body: { with: changes } })).findings,
  });
}

/** Whether the port for sending is open outward, asked with the servers of a domain. */
export function useOutboundProbe() {
  return useMutation({
    mutationFn: async (domain: string) =>
      (await call<Findings>('/check', { method: 'POST', body: { probe: domain } })).findings.filter(
        ({ topic }) => topic === 'outbound',
      ),
  });
}
