/** The [tls] section of cmail.toml. */
import { z } from 'zod';
import { acmeSchema } from './config-acme.ts';
import type { TlsConfig } from './tls-service.ts';

/** Certificates beside the main one. */
const MAX_EXTRA = 100;

export const tlsSchema = z
  .strictObject({
    cert: z.string(),
    key: z.string(),
    extra: z
      .array(z.strictObject({ names: z.array(z.string()).default([]), cert: z.string(), key: z.string() }))
      .max(MAX_EXTRA),
    acme: acmeSchema,
  })
  .partial();

export type TlsFileConfig = z.infer<typeof tlsSchema>;

export interface TlsConfigInput {
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly fromFile: TlsFileConfig | undefined;
  /** Makes a path of the file or of the environment absolute. */
  readonly fromFileFolder: (path: string) => string;
  readonly fromCurrentFolder: (path: string) => string;
}

/** The certificates named; a text says which half of a pair is missing. */
export function tlsConfig(input: TlsConfigInput): TlsConfig | { readonly missing: 'tls.cert' | 'tls.key' } {
  const path = (name: 'cert' | 'key'): string | null => {
    const fromEnv = input.env[`CMAIL_TLS_${name.toUpperCase()}`];
    if (fromEnv !== undefined && fromEnv !== '') return input.fromCurrentFolder(fromEnv);
    const entry = input.fromFile?.[name];
    return entry === undefined || entry === '' ? null : input.fromFileFolder(entry);
  };
  const [cert, key] = [path('cert'), path('key')];
  const extra = (input.fromFile?.extra ?? []).map((one) => ({
    names: one.names.map((name) => name.toLowerCase()),
    cert: input.fromFileFolder(one.cert),
    key: input.fromFileFolder(one.key),
  }));
  if (cert === null && key === null) return { main: null, extra };
  if (cert === null) return { missing: 'tls.cert' };
  if (key === null) return { missing: 'tls.key' };
  return { main: { cert, key }, extra };
}
