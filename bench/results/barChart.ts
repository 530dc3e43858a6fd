/** Medians as bars, and the fastest and the slowest run as a line across the end of each. */
import { spread } from "./statistics.ts";
import { bar, label, line, svg } from "./svg.ts";

export interface Bar {
    readonly title: string;
    readonly values: readonly number[];
    /** Our own ways stand out. */
    readonly ours: boolean;
}

const left = 330;
const width = 900;
const right = 80;
const top = 40;
const rowHeight = 30;

export function barChart(title: string, bars: readonly Bar[]): string {
    const rows = bars.filter(({ values }) => values.length > 0);
    const greatest = Math.max(1e-9, ...rows.flatMap(({ values }) => values));
    const scale = (value: number): number => (value / greatest) * (width - left - right);
    return svg({
        ...{ width, height: top + rows.length * rowHeight + 16, title },
        shapes: [
            label(16, 24, title, "start", 'font-weight="bold"'),
            ...rows.flatMap(({ title: name, values, ours }, index) => {
                const { median, min, max } = spread(values);
                const y = top + index * rowHeight;
                const middle = y + rowHeight / 2;
                return [
                    label(left - 10, middle + 4, name, "end"),
                    bar(left, y + 5, scale(median), rowHeight - 10, ours ? "#1a7f37" : "#8c959f"),
                    line(
                        [
                            [left + scale(min), middle],
                            [left + scale(max), middle],
                        ],
                        "#24292f",
                        'stroke-width="2"',
                    ),
                    label(left + scale(max) + 6, middle + 4, `${median.toFixed(1)} s`),
                ];
            }),
        ],
    });
}
