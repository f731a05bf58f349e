import { createTheme, type MantineColorsTuple } from '@mantine/core';

/** Calm blue; shade 7 carries white text at more than 4.5:1, shade 4 stands on dark. */
const blue: MantineColorsTuple = [
  '#eef4fc',
  '#dbe6f6',
  '#b5cbea',
  '#8caede',
  '#74a0e0',
  '#5287d3',
  '#3a70c0',
  '#2456a6',
  '#1c4588',
  '#14356b',
];

/** Shades 6 and 7 carry white text at more than 4.5:1. */
const red: MantineColorsTuple = [
  '#fdf0ef',
  '#fbdcd9',
  '#f4b4af',
  '#ec8981',
  '#e2655b',
  '#d4483d',
  '#c2342a',
  '#b3261e',
  '#941d17',
  '#751511',
];

/** The greys of dark mode, a little blue as the rest of the page. */
const dark: MantineColorsTuple = [
  '#e4e8ee',
  '#c3cad5',
  '#a3adbb',
  '#7b8696',
  '#4a5361',
  '#3a424f',
  '#232831',
  '#1b1f26',
  '#14171c',
  '#0f1216',
];

export const theme = createTheme({
  colors: { blue, dark, red },
  primaryColor: 'blue',
  primaryShade: { light: 7, dark: 6 },
  fontFamily: 'system-ui, -apple-system, "Segoe UI", Roboto, "DejaVu Sans", sans-serif',
  fontFamilyMonospace: 'ui-monospace, "SFMono-Regular", Menlo, Consolas, "DejaVu Sans Mono", monospace',
  defaultRadius: 'sm',
  cursorType: 'pointer',
  focusRing: 'auto',
  respectReducedMotion: true,
  components: {
    Button: { defaultProps: { size: 'sm' } },
    Tooltip: {
      defaultProps: { withArrow: true, openDelay: 300, events: { hover: true, focus: true, touch: true } },
    },
    Modal: { defaultProps: { centered: true, closeButtonProps: { 'aria-label': 'Close' } } },
    Drawer: { defaultProps: { closeButtonProps: { 'aria-label': 'Close' } } },
    // Within the page's own <header> there would be two banners otherwise.
    ModalHeader: { defaultProps: { component: 'div' } },
    DrawerHeader: { defaultProps: { component: 'div' } },
  },
});
