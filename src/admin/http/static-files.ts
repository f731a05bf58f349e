/** Serves the built page. Only plain names below its folder are looked at, so no path leads elsewhere. */
import { randomBytes } from 'node:crypto';
import { readFile, stat } from 'node:fs/promises';
import { extname, join } from 'node:path';

const TYPES: Readonly<Record<string, string>> = {
  '.html': 'text/html; charset=utf-8',
  '.js': 'text/javascript; charset=utf-8',
  '.css': 'text/css; charset=utf-8',
  '.svg': 'image/svg+xml',
  '.png': 'image/png',
  '.ico': 'image/x-icon',
  '.woff2': 'font/woff2',
  '.json': 'application/json',
  '.webmanifest': 'application/manifest+json',
  '.txt': 'text/plain; charset=utf-8',
};

/** Path segments of letters, digits, dots, hyphens and underscores, none of which begins with a dot. */
const PLAIN_PATH = /^(?:\/[A-Za-z0-9_-][A-Za-z0-9._-]{0,150}){1,4}$/;
const NONCE = /__CSP_NONCE__/g;
const YEAR = 'public, max-age=31536000, immutable';

export const SECURITY_HEADERS: Readonly<Record<string, string>> = {
  'x-content-type-options': 'nosniff',
  'referrer-policy': 'no-referrer',
  'x-frame-options': 'DENY',
  'cross-origin-opener-policy': 'same-origin',
  'cross-origin-resource-policy': 'same-origin',
};

export function contentSecurityPolicy(nonce: string): string {
  return [
    "default-src 'none'",
    "script-src 'self'",
    `style-src 'self' 'nonce-${nonce}'`,
    "img-src 'self' data:",
    "font-src 'self'",
    "connect-src 'self'",
    "manifest-src 'self'",
    "base-uri 'none'",
    "form-action 'self'",
    "frame-ancestors 'none'",
  ].join('; ');
}

const NOT_BUILT = `<!doctype html><html lang="en"><head><meta charset="utf-8"><title>CMail</title></head>
<body><p>The page is not built. <code>npm run build</code> builds it; the API is at <a href="/api/v1/docs">/api/v1/docs</a>.</p></body></html>`;

export class StaticFiles {
  readonly #root: string;

  constructor(root: string) {
    this.#root = root;
  }

  /** `path` begins with a slash and is not decoded. null when there is no such file. */
  async respond(path: string, acceptEncoding: string): Promise<Response | null> {
    if (/\/\./.test(path)) return null;
    if (path === '/index.html') return this.#index();
    if (extname(path) !== '') return this.#file(path, acceptEncoding);
    return this.#index();
  }

  async #file(path: string, acceptEncoding: string): Promise<Response | null> {
    const type = TYPES[extname(path)];
    if (type === undefined || !PLAIN_PATH.test(path)) return null;
    const file = join(this.#root, path);
    const headers: Record<string, string> = {
      ...SECURITY_HEADERS,
      'content-type': type,
      'cache-control': path.startsWith('/assets/') ? YEAR : 'no-cache',
      'content-security-policy': "default-src 'none'; frame-ancestors 'none'",
      vary: 'Accept-Encoding',
    };
    for (const [encoding, ending] of [
      ['br', '.br'],
      ['gzip', '.gz'],
    ] as const) {
      if (!accepts(acceptEncoding, encoding)) continue;
      const packed = await contentOf(file + ending);
      if (packed === null) continue;
      return new Response(packed, { headers: { ...headers, 'content-encoding': encoding } });
    }
    const content = await contentOf(file);
    return content === null ? null : new Response(content, { headers });
  }

  async #index(): Promise<Response> {
    const nonce = randomBytes(16).toString('base64url');
    const html = (await contentOf(join(this.#root, 'index.html')))?.toString('utf8') ?? NOT_BUILT;
    return new Response(html.replace(NONCE, nonce), {
      headers: {
        ...SECURITY_HEADERS,
        'content-type': 'text/html; charset=utf-8',
        'cache-control': 'no-store',
        'content-security-policy': contentSecurityPolicy(nonce),
      },
    });
  }
}

function accepts(header: string, encoding: string): boolean {
  return header.split(',').some((part) => {
    const [name = '', quality = ''] = part.trim().split(';');
    return name.trim() === encoding && !/q=0(\.0*)?$/.test(quality.trim());
  });
}

/** null when it is no file. */
async function contentOf(file: string): Promise<Buffer<ArrayBuffer> | null> {
  try {
    return (await stat(file)).isFile() ? await readFile(file) : null;
  } catch {
    // Not there, or not readable: to the caller it does not exist.
    return null;
  }
}
