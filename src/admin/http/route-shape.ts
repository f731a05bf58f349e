/** What a route is. */
import { z } from 'zod';
import { pageQuery, shortText } from './shapes/common.ts';

/**
 * Who may call: `none` anybody; `session` a signed-in browser only; else whoever has the scope, which a
 * signed-in administrator always has. `owner`: a session of an account, which may call nothing else but what is marked
 * `accounts`.
 */
export type RouteAccess = 'none' | 'session' | 'read' | 'write' | 'mail-source' | 'owner';

export interface RouteShape {
  readonly method: 'GET' | 'POST' | 'PUT' | 'PATCH' | 'DELETE';
  /** Below `BASE`; `:name` is a parameter. */
  readonly path: string;
  readonly tag: string;
  readonly summary: string;
  readonly access: RouteAccess;
  /** About the session itself: sessions of accounts may call it too. */
  readonly accounts?: true;
  readonly params?: z.ZodObject;
  readonly query?: z.ZodObject;
  readonly body?: z.ZodType;
  /** 204 has no answer. */
  readonly status: 200 | 201 | 204;
  readonly answer?: z.ZodType;
  /** The answer is not JSON but this, and the handler makes the whole response. */
  readonly produces?: 'message/rfc822' | 'text/event-stream' | 'application/toml';
}

export const idParams = z.strictObject({ id: z.string().min(1).max(100) });
export const nameParams = z.strictObject({ name: shortText });
export const addressParams = z.strictObject({ address: shortText });
export const listQuery = z.strictObject(pageQuery);
