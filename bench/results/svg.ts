/** The few shapes that the charts are made of. */

export interface Picture {
    readonly width: number;
    readonly height: number;
    readonly title: string;
    readonly shapes: readonly string[];
}

/** Readable on white and on dark pages: it brings its own ground. */
export function svg({ width, height, title, shapes }: Picture): string {
    return [
        `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${width} ${height}" width="${width}" height="${height}" role="img" font-family="system-ui, sans-serif" font-size="12">`,
        `<title>${escaped(title)}</title>`,
        `<rect width="${width}" height="${height}" fill="#ffffff"/>`,
        ...shapes,
        "</svg>",
        "",
    ].join("\n");
}

export type Anchor = "start" | "middle" | "end";

export function label(x: number, y: number, text: string, anchor: Anchor = "start", style = ""): string {
    return `<text x="${round(x)}" y="${round(y)}" text-anchor="${anchor}" fill="#24292f"${style === "" ? "" : ` ${style}`}>${escaped(text)}</text>`;
}

export function bar(x: number, y: number, width: number, height: number, colour: string): string {
    return `<rect x="${round(x)}" y="${round(y)}" width="${round(width)}" height="${round(height)}" fill="${colour}"/>`;
}

export function line(points: readonly (readonly [x: number, y: number])[], colour: string, style = ""): string {
    const path = points.map(([x, y]) => `${round(x)},${round(y)}`).join(" ");
    return `<polyline points="${path}" fill="none" stroke="${colour}"${style === "" ? "" : ` ${style}`}/>`;
}

export function dot(x: number, y: number, colour: string): string {
    return `<circle cx="${round(x)}" cy="${round(y)}" r="4" fill="${colour}" stroke="#ffffff"/>`;
}

const round = (value: number): string => String(Math.round(value * 10) / 10);

function escaped(text: string): string {
    return text.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;");
}
