/** `GET docs`: the routes as a page, made here and without anything from outside. */
import { z } from 'zod';
import { escapeMarkup } from './markup.ts';
import { BASE, ROUTES, type RouteShape } from './routes.ts';
import { SECURITY_HEADERS } from './static-files.ts';

function shapeText(shape: z.ZodType | undefined, io: 'input' | 'output'): string {
  if (shape === undefined) return '';
  const { $schema: _, ...schema } = z.toJSONSchema(shape, { io, unrepresentable: 'any' });
  return `<details><summary>${io === 'input' ? 'takes' : 'answers'}</summary><pre>${escapeMarkup(JSON.stringify(schema, null, 2))}</pre></details>`;
}

function routeHtml(name: string, route: RouteShape): string {
  return `<section id="${name}"><h3><b>${route.method}</b> <code>${escapeMarkup(route.path)}</code></h3>
<p>${escapeMarkup(route.summary)} <i>(${route.access})</i></p>${shapeText(route.query, 'input')}${shapeText(route.body, 'input')}${shapeText(route.answer, 'output')}</section>`;
}

let page: string | undefined;

function pageHtml(version: string): string {
  const tags = new Map<string, string[]>();
  for (const [name, route] of Object.entries(ROUTES) as [string, RouteShape][]) {
    tags.set(route.tag, [...(tags.get(route.tag) ?? []), routeHtml(name, route)]);
  }
  const body = [...tags].map(([tag, routes]) => `<h2>${tag}</h2>${routes.join('')}`).join('');
  return `<!doctype html><html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>CMail ${escapeMarkup(version)}: API</title></head><body><h1>CMail ${escapeMarkup(version)}: API</h1>
<p>All paths are below <code>${BASE}</code>. The whole as <a href="${BASE}/openapi.json">OpenAPI document</a>.</p>${body}</body></html>`;
}

export function docsPage(version: string): Response {
  page ??= pageHtml(version);
  return new Response(page, {
    headers: {
      ...SECURITY_HEADERS,
      'content-type': 'text/html; charset=utf-8',
      'content-security-policy':
        "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
      'cache-control': 'no-store',
    },
  });
}
