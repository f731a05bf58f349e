import { useComputedColorScheme } from '@mantine/core';
import { useEffect, useRef } from 'react';
import uPlot from 'uplot';
import 'uplot/dist/uPlot.min.css';

export interface Line {
  readonly label: string;
  /** A CSS variable of app.css. */
  readonly colour: string;
  readonly dash?: readonly number[];
  readonly values: readonly (number | null)[];
}

interface PlotProps {
  /** Seconds since 1970, one a point. */
  readonly times: readonly number[];
  readonly lines: readonly Line[];
  readonly height: number;
  readonly label: string;
  /** Told which point the pointer is at, null when it is elsewhere. */
  readonly onPoint: (index: number | null) => void;
}

/** Lines over time; whoever shows it gives the numbers beside it. */
export function Plot({ times, lines, height, label, onPoint }: PlotProps) {
  const place = useRef<HTMLDivElement>(null);
  const plot = useRef<uPlot>(null);
  const scheme = useComputedColorScheme('light', { getInitialValueInEffect: false });
  const shape = lines.map((line) => line.label).join('|');
  // biome-ignore lint/correctness/useExhaustiveDependencies: new points go through setData below; only a new look makes a new plot
  useEffect(() => {
    const box = place.current;
    if (box === null) return undefined;
    const made = new uPlot(options(box, lines, height, onPoint), dataOf(times, lines), box);
    plot.current = made;
    const watch = new ResizeObserver(() => made.setSize({ width: box.clientWidth, height }));
    watch.observe(box);
    return () => {
      watch.disconnect();
      made.destroy();
      plot.current = null;
    };
  }, [scheme, shape, height]);
  useEffect(() => {
    plot.current?.setData(dataOf(times, lines));
  }, [times, lines]);
  return <div ref={place} className="plot" role="img" aria-label={label} />;
}

function dataOf(times: readonly number[], lines: readonly Line[]): uPlot.AlignedData {
  return [[...times], ...lines.map(({ values }) => [...values])];
}

function options(
  box: HTMLElement,
  lines: readonly Line[],
  height: number,
  onPoint: PlotProps['onPoint'],
): uPlot.Options {
  const style = getComputedStyle(document.documentElement);
  const colour = (name: string) => style.getPropertyValue(name).trim();
  const axis: uPlot.Axis = {
    stroke: colour('--c-dim'),
    grid: { stroke: colour('--c-line'), width: 1 },
    ticks: { stroke: colour('--c-line'), width: 1, size: 5 },
    font: '12px system-ui, sans-serif',
  };
  return {
    width: box.clientWidth,
    height,
    scales: { y: { range: (_plot, _min, max) => [0, Math.max(5, Math.ceil(max * 1.1))] } },
    axes: [
      { ...axis, values: '{HH}:{mm}', space: 60, size: 32 },
      {
        ...axis,
        size: 44,
        incrs: [1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000, 10_000, 50_000, 100_000],
      },
    ],
    cursor: { points: { size: 6 }, drag: { x: false, y: false } },
    legend: { show: false },
    hooks: { setCursor: [({ cursor }) => onPoint(cursor.idx ?? null)] },
    series: [
      {},
      ...lines.map(({ label, colour: name, dash }) => ({
        label,
        stroke: colour(name),
        width: 2,
        ...(dash === undefined ? {} : { dash: [...dash] }),
        points: { show: false },
      })),
    ],
  };
}
