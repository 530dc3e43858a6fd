/** HTML and SVG that cannot be injected into: whatever is put into a template is escaped, unless it is markup itself. */
import { visible } from "./safeText.ts";

/** Text that is markup already. Only {@link markup} makes it. */
export class Markup {
    public readonly text: string;

    constructor(text: string) {
        this.text = text;
    }
}

type Content = Markup | string | number | undefined | readonly Content[];

/** Template tag: strings and numbers are escaped for text and for quoted attributes, lists are joined, undefined is nothing. */
export function markup(parts: TemplateStringsArray, ...contents: readonly Content[]): Markup {
    return new Markup(parts.map((part, index) => (index === 0 ? part : render(contents[index - 1]) + part)).join(""));
}

function render(content: Content): string {
    if (content === undefined) return "";
    if (content instanceof Markup) return content.text;
    if (typeof content === "number") return String(content);
    if (typeof content === "string") return escapeText(content);
    return content.map(render).join("");
}

const escapes: Readonly<Record<string, string>> = {
    "&": "&amp;",
    "<": "&lt;",
    ">": "&gt;",
    '"': "&quot;",
    "'": "&#39;",
};

function escapeText(text: string): string {
    return visible(text).replace(/[&<>"']/g, (character) => escapes[character] ?? "");
}

const longestInline = 400;

/** Text of unknown length and direction: isolated from what is around it, folded when it is long. */
export function prose(text: string): Markup {
    if (text.length <= longestInline) return markup`<bdi>${withCode(text)}</bdi>`;
    return markup`<details class="long"><summary><bdi>${text.slice(0, longestInline)}…</bdi></summary><bdi>${text}</bdi></details>`;
}

/** What stands between backticks is a command or a name, as in this program's own messages. */
function withCode(text: string): Markup[] {
    return text
        .split(/`([^`\n]+)`/)
        .map((part, index) => (index % 2 === 0 ? markup`${part}` : markup`<code>${part}</code>`));
}

/** A column of {@link table}. `name` also labels each cell where the table is shown as cards. */
export interface Column {
    readonly name: string;
    /** Right-aligned. */
    readonly number?: boolean;
}

/**
 * A table with a caption, whose first column heads its rows. On narrow screens each row becomes a card; roles are written out, as
 * browsers drop those of a table that is not displayed as one.
 */
export function table(caption: string, columns: readonly Column[], rows: readonly (readonly Content[])[]): Markup {
    const cell = (content: Content, index: number): Markup => {
        const column = columns[index];
        const align = column?.number === true ? "number" : "";
        if (index === 0) return markup`<th scope="row" role="rowheader">${content}</th>`;
        return markup`<td role="cell" class="${align}" data-label="${column?.name}">${content}</td>`;
    };
    return markup`<table role="table"><caption>${caption}</caption>
<thead role="rowgroup"><tr role="row">${columns.map(
        ({ name, number }) =>
            markup`<th scope="col" role="columnheader" class="${number === true ? "number" : ""}">${name}</th>`,
    )}</tr></thead>
<tbody role="rowgroup">${rows.map((row) => markup`<tr role="row">${row.map(cell)}</tr>\n`)}</tbody></table>`;
}
