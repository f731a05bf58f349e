/** The page's few line icons, drawn on a 20 × 20 grid; decoration only, the words are beside them. */
const PATHS = {
  dashboard: 'M3 10.500 10 4l7 6.500M5 9v8h10V9M8.500 17v-4.500h3V17',
  messages: 'M3 5h14v10.500H3zM3.500 5.500 10 11l6.500-5.500',
  queue: 'M4 5h12M4 10h12M4 15h7M15 13v3.500M15 16.500l2 1.500',
  config: 'M4 6h6M14 6h2M4 14h2M10 14h6M12 4v4M8 12v4',
  people:
    'M7 9.500a3 3 0 1 0 0-6 3 3 0 0 0 0 6ZM2 17c0-3 2-5 5-5s5 2 5 5M13 4a3 3 0 0 1 0 5.500M14.500 12.500c2.200.500 3.500 2.200 3.500 4.500',
  access: 'M6 9V6.500a4 4 0 0 1 8 0V9M4.500 9h11v8h-11zM10 12v2',
  search: 'M9 15A6 6 0 1 0 9 3a6 6 0 0 0 0 12ZM13.500 13.500 17 17',
  sun: 'M10 13.500a3.500 3.500 0 1 0 0-7 3.500 3.500 0 0 0 0 7ZM10 1.500v2M10 16.500v2M1.500 10h2M16.500 10h2M4 4l1.400 1.400M14.600 14.600 16 16M16 4l-1.400 1.400M5.400 14.600 4 16',
  moon: 'M16.500 12A7 7 0 0 1 8 3.500a7 7 0 1 0 8.500 8.500Z',
  menu: 'M3 5.500h14M3 10h14M3 14.500h14',
  close: 'M5 5l10 10M15 5 5 15',
  user: 'M10 10a3.500 3.500 0 1 0 0-7 3.500 3.500 0 0 0 0 7ZM3.500 17.500c0-3.500 2.800-5.500 6.500-5.500s6.500 2 6.500 5.500',
  warn: 'M10 3 2.500 16.500h15zM10 8v4M10 14.200v.300',
  bad: 'M10 18a8 8 0 1 0 0-16 8 8 0 0 0 0 16ZM10 6v5M10 13.500v.300',
  good: 'M10 18a8 8 0 1 0 0-16 8 8 0 0 0 0 16ZM6.500 10.300l2.500 2.500 4.700-5',
  info: 'M10 18a8 8 0 1 0 0-16 8 8 0 0 0 0 16ZM10 9v5M10 6.200v.300',
  help: 'M10 18a8 8 0 1 0 0-16 8 8 0 0 0 0 16ZM7.800 8a2.200 2.200 0 1 1 3.300 1.900c-.700.400-1.100.900-1.100 1.700M10 14v.300',
  arrow: 'M4 10h12M11.500 5.500 16 10l-4.500 4.500',
  down: 'M5 8l5 5 5-5',
  undo: 'M7 5 3.500 8.500 7 12M4 8.500h7.500a4.500 4.500 0 0 1 0 9H8',
  dots: 'M5 10h.010M10 10h.010M15 10h.010',
  plus: 'M10 4v12M4 10h12',
  clock: 'M10 18a8 8 0 1 0 0-16 8 8 0 0 0 0 16ZM10 5.500V10l3 2',
  send: 'M17.500 2.500 9 11M17.500 2.500 12 17.500 9 11 2.500 8z',
  pause: 'M7 4.500v11M13 4.500v11',
  trash: 'M4 6h12M8 6V3.500h4V6M5.500 6l.700 11h7.600l.700-11',
  copy: 'M7 7h9.500v9.500H7zM4 13H3.500V3.500H13V4',
  check: 'M4 10.500 8.500 15 16 6',
  globe:
    'M10 18a8 8 0 1 0 0-16 8 8 0 0 0 0 16ZM2.500 10h15M10 2c2.500 2.500 3.500 5 3.500 8s-1 5.500-3.500 8c-2.500-2.500-3.500-5-3.500-8s1-5.500 3.500-8Z',
} as const;

export type IconName = keyof typeof PATHS;

export function Icon({ name, size = 18 }: { readonly name: IconName; readonly size?: number }) {
  return (
    <svg
      width={size}
      height={size}
      viewBox="0 0 20 20"
      fill="none"
      stroke="currentColor"
      strokeWidth={name === 'dots' ? 2.4 : 1.6}
      strokeLinecap="round"
      strokeLinejoin="round"
      aria-hidden="true"
      focusable="false"
    >
      <path d={PATHS[name]} />
    </svg>
  );
}
