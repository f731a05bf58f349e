/** The OpenAPI 3.1 document of the API, made of the route table. */
import { z } from 'zod';
import { BASE, ROUTES, type RouteShape } from './routes.ts';
import { problemShape } from './shapes/common.ts';

type Json = Readonly<Record<string, unknown>>;

const ACCESS_WORDS: Readonly<Record<RouteShape['access'], string>> = {
  none: 'Open to anybody.',
  session: 'A signed-in administrator; no token.',
  read: 'A signed-in administrator, or a token with scope read.',
  write: 'A signed-in administrator, or a token with scope write.',
  owner: 'The owner of an account, signed in at the page; no administrator, no token.',
  'mail-source': 'A signed-in administrator, or a token with scope mail-source.',
};

/** The whole document. `version` is the program's. */
export function openApiDocument(version: string): Json {
  const components = new Map<string, Json>();
  const paths: Record<string, Record<string, Json>> = {};
  for (const [name, route] of Object.entries(ROUTES) as [string, RouteShape][]) {
    const path = route.path.replace(/:(\w+)/g, '{$1}');
    paths[path] = { ...paths[path], [route.method.toLowerCase()]: operationOf(name, route, components) };
  }
  const problem = schemaOf(problemShape, 'output', components);
  components.set('Problem', componentOf(problem, components, 'Problem'));
  return {
    openapi: '3.1.0',
    info: {
      title: 'CMail administration',
      version,
      description:
        'Everything the page does. Errors are problem documents (RFC 9457). Calls that change something need, from a browser, the header X-CSRF-Token with the token of the session, and from elsewhere an API token as Authorization: Bearer.',
    },
    servers: [{ url: BASE }],
    paths,
    components: {
      schemas: Object.fromEntries([...components].sort(([a], [b]) => (a < b ? -1 : 1))),
      securitySchemes: {
        session: { type: 'apiKey', in: 'cookie', name: 'cmail_session' },
        token: { type: 'http', scheme: 'bearer' },
      },
    },
  };
}

function operationOf(name: string, route: RouteShape, components: Map<string, Json>): Json {
  const parameters = [
    ...parametersOf(route.params, 'path', components),
    ...parametersOf(route.query, 'query', components),
  ];
  return {
    operationId: name,
    tags: [route.tag],
    summary: route.summary,
    description: `${ACCESS_WORDS[route.access]}${route.accounts ? ' The owner of an account too.' : ''}`,
    ...(route.access === 'none'
      ? { security: [] }
      : {
          security: [
            { session: [] },
            ...(route.access === 'session' || route.access === 'owner' ? [] : [{ token: [] }]),
          ],
        }),
    ...(parameters.length === 0 ? {} : { parameters }),
    ...(route.body === undefined
      ? {}
      : {
          requestBody: {
            required: true,
            content: { 'application/json': { schema: schemaOf(route.body, 'input', components) } },
          },
        }),
    responses: {
      [route.status]: answerOf(route, components),
      default: {
        description: 'A problem document',
        content: { 'application/problem+json': { schema: { $ref: '#/components/schemas/Problem' } } },
      },
    },
  };
}

function answerOf(route: RouteShape, components: Map<string, Json>): Json {
  if (route.status === 204) return { description: 'Done' };
  const schema =
    route.answer === undefined ? { type: 'string' } : schemaOf(route.answer, 'output', components);
  return { description: 'Done', content: { [route.produces ?? 'application/json']: { schema } } };
}

function parametersOf(
  shape: z.ZodObject | undefined,
  where: 'path' | 'query',
  components: Map<string, Json>,
): Json[] {
  if (shape === undefined) return [];
  const { properties = {}, required = [] } = schemaOf(shape, 'input', components) as {
    properties?: Record<string, Json>;
    required?: string[];
  };
  return Object.entries(properties).map(([name, { description, ...schema }]) => ({
    name,
    in: where,
    required: where === 'path' || required.includes(name),
    ...(description === undefined ? {} : { description }),
    schema,
  }));
}

/** JSON Schema 2020-12, which OpenAPI 3.1 takes as it is; shapes with a name become components. */
function schemaOf(shape: z.ZodType, io: 'input' | 'output', components: Map<string, Json>): Json {
  const {
    $schema: _,
    $defs,
    ...schema
  } = z.toJSONSchema(shape, {
    io,
    unrepresentable: 'any',
    reused: 'inline',
  }) as Record<string, unknown>;
  for (const [name, definition] of Object.entries(($defs ?? {}) as Record<string, Json>)) {
    if (!components.has(name)) components.set(name, componentOf(definition, components, name));
  }
  const { id, ...rest } = schema;
  const moved = moveReferences(rest) as Json;
  if (typeof id !== 'string') return moved;
  components.set(id, moved);
  return { $ref: `#/components/schemas/${id}` };
}

function componentOf(schema: Json, components: Map<string, Json>, name: string): Json {
  if (schema.$ref === `#/components/schemas/${name}`) return components.get(name) ?? {};
  const { id: _, ...rest } = schema;
  return moveReferences(rest) as Json;
}

function moveReferences(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(moveReferences);
  if (typeof value !== 'object' || value === null) return value;
  const entries = Object.entries(value).map(([key, inner]) =>
    key === '$ref' && typeof inner === 'string'
      ? [key, inner.replace(/^#\/\$defs\//, '#/components/schemas/')]
      : [key, moveReferences(inner)],
  );
  return Object.fromEntries(entries);
}
