/** Texts that have broken dumps, restores and well-meant edits of them. */

/**
 * Each of them means something to COPY, to SQL, to a terminal or to a program that reads lines. None has NUL, which PostgreSQL
 * cannot hold, or a lone surrogate, which canonical JSON cannot.
 */
export const trickyTexts: readonly string[] = [
    // The end of data and NULL in COPY's text format.
    "\\.",
    "\\N",
    "line one\n\\.\nline three",
    "a\ttab, a\r\ncarriage return and a \\n that is two characters",
    "trailing backslash \\",
    "\\\\server\\share\\new\\table",
    "C:\\x41\\101\\u0041",
    // What search-and-replace over a dump would change.
    "ALTER TABLE public.users OWNER TO synapse;",
    "'; DROP TABLE events; --",
    "\\connect postgres\n\\! echo from psql",
    "$$ $1 ${HOME} `id` %s {0}",
    // Unicode: beyond the basic plane, joined, combining, right to left, look-alikes, invisible, not a character.
    "👩‍👩‍👧‍👦 🏳️‍🌈 🇺🇳 emoji of several code points",
    "e\u0301 is not é",
    "שלום עולם, مرحبا بالعالم",
    "日本語のメッセージ、简体中文、한국어",
    "Ｆｕｌｌｗｉｄｔｈ and ﬁ ligature",
    "zero\u200bwidth\u2060 and \ufeff mark, line\u2028separator, \u0085 next line",
    "\u202eright-to-left override\u202c",
    "control \u0001\u0007\u001b[31m characters \u007f",
    "noncharacter \uffff and \u{10ffff}",
    "𝕸𝖆𝖙𝖍 \u{1f600}\u{20000}\u{e0001}",
    " leading and trailing space ",
    'quotes " \' ` and {"json": ["in", "text"], "\\u0000": null}',
    "<b>markup</b> &amp; <script>alert(1)</script>",
    "1e400, -0, 9007199254740993, NaN, null, true",
    `a long line: ${"0123456789".repeat(300)}`,
];
