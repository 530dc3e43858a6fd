/** How states are named and coloured; each has a sign and a word, as colour alone tells not everybody. */
import { markup, type Markup } from "./markup.ts";
import type { Outcome } from "./reportRecord.ts";

type Tone = "good" | "bad" | "warn" | "calm" | "none";

const badges = {
    passed: { tone: "good", sign: "✓", word: "passed" },
    failed: { tone: "bad", sign: "✕", word: "failed" },
    warning: { tone: "warn", sign: "!", word: "warning" },
    "not-run": { tone: "none", sign: "○", word: "not run" },
    equal: { tone: "good", sign: "✓", word: "equal" },
    different: { tone: "bad", sign: "✕", word: "different" },
    emptied: { tone: "calm", sign: "i", word: "emptied on purpose" },
    added: { tone: "calm", sign: "i", word: "rows added on purpose" },
    "not-compared": { tone: "none", sign: "○", word: "not compared" },
    error: { tone: "bad", sign: "✕", word: "blocks" },
    info: { tone: "calm", sign: "i", word: "for information" },
    resolved: { tone: "calm", sign: "✓", word: "overcome" },
    fallen: { tone: "none", sign: "↺", word: "no longer stands" },
    standing: { tone: "bad", sign: "✕", word: "stands" },
} as const satisfies Record<string, { tone: Tone; sign: string; word: string }>;

export type BadgeName = keyof typeof badges;

/** `✓ passed`, and with a number `✓ 12 passed`. */
export function badgeText(name: BadgeName, count?: string): string {
    const { sign, word } = badges[name];
    return count === undefined ? `${sign} ${word}` : `${sign} ${count} ${word}`;
}

export function badge(name: BadgeName, count?: string): Markup {
    return markup`<span class="${`badge ${badges[name].tone}`}">${badgeText(name, count)}</span>`;
}

export function badgeTone(name: BadgeName): Tone {
    return badges[name].tone;
}

/** Only a proof is green. */
export function outcomeTone(state: Outcome["state"]): Tone {
    switch (state) {
        case "proven":
            return "good";
        case "failed":
        case "unproven":
        case "blocked":
            return "bad";
        case "moved":
        case "interrupted":
        case "rolled-back":
            return "warn";
        case "assessed":
        case "staged":
        case "under-way":
            return "calm";
    }
}
