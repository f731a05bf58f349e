/** Every route of the API: where, who may, what goes in and comes out. The OpenAPI document and the server come from it. */
import type { z } from 'zod';
import { ACCESS_ROUTES } from './routes-access.ts';
import { MAIL_ROUTES } from './routes-mail.ts';
import { ME_ROUTES } from './routes-me.ts';

export type { RouteAccess, RouteShape } from './route-shape.ts';

export const BASE = '/api/v1';

export const ROUTES = { ...ACCESS_ROUTES, ...MAIL_ROUTES, ...ME_ROUTES } as const;

export type RouteName = keyof typeof ROUTES;

type Inferred<R, K extends string> = R extends Record<K, infer S extends z.ZodType> ? z.output<S> : undefined;

/** What a handler is given, checked. */
export interface RouteInput<N extends RouteName> {
  readonly params: Inferred<(typeof ROUTES)[N], 'params'>;
  readonly query: Inferred<(typeof ROUTES)[N], 'query'>;
  readonly body: Inferred<(typeof ROUTES)[N], 'body'>;
}

/** What a handler resolves to; routes that make a response of their own resolve to that. */
export type RouteAnswer<N extends RouteName> = (typeof ROUTES)[N] extends { produces: string }
  ? Response
  : (typeof ROUTES)[N] extends { answer: infer S extends z.ZodType }
    ? z.input<S>
    : undefined;
