/** Plain words of YAML as PyYAML's resolver.py takes them, and the text that Python's `str()` makes of each. */
import type { ScalarTag, Tags } from "yaml";

/** A date or a moment; written back exactly as it was read. */
class PythonTimestamp extends Date {
    public readonly source: string;

    constructor(source: string, milliseconds: number) {
        super(milliseconds);
        this.source = source;
    }
}

type Complain = (message: string) => void;

/** One kind of value: the pattern of its words, and what becomes of them. */
interface PythonScalar extends ScalarTag {
    readonly resolve: (text: string, complain: Complain) => unknown;
    /** `str(value)`. */
    readonly asText: (text: string, complain: Complain) => string;
}

const decimal = (text: string): number => Number(text.replaceAll("_", ""));

function integer(text: string): bigint {
    const digits = text.replace(/^[-+]/, "").replaceAll("_", "");
    const value = digits.includes(":")
        ? // `1:30` is ninety: digits of base sixty.
          digits.split(":").reduce((sum, part) => sum * 60n + BigInt(part), 0n)
        : BigInt(digits.replace(/^0(?=[0-7])/, "0o"));
    return text.startsWith("-") ? -value : value;
}

function float(text: string): number {
    if (/\.inf$/i.test(text)) return text.startsWith("-") ? -Infinity : Infinity;
    if (/^\.nan$/i.test(text)) return NaN;
    if (!text.includes(":")) return decimal(text);
    const value = text
        .replace(/^[-+]/, "")
        .split(":")
        .reduce((sum, part) => sum * 60 + decimal(part), 0);
    return text.startsWith("-") ? -value : value;
}

/** PyYAML reads `1e-7` as a string and `1` as an integer, so a float always gets its point. */
function floatYaml(value: number): string {
    if (Number.isNaN(value)) return ".nan";
    if (!Number.isFinite(value)) return value < 0 ? "-.inf" : ".inf";
    return JSON.stringify(value).replace(/^(-?\d+)(?=e|$)/, "$1.0");
}

/** As many digits as JavaScript writes, but a power of ten for others than 10⁻⁴ to 10¹⁶ (Python's `float.__repr__`). */
function floatText(value: number): string {
    if (Number.isNaN(value)) return "nan";
    if (!Number.isFinite(value)) return value < 0 ? "-inf" : "inf";
    const [digits = "", power = "0"] = value.toExponential().split("e");
    const exponent = Number(power);
    if (value !== 0 && (exponent < -4 || exponent >= 16))
        return `${digits}e${exponent < 0 ? "-" : "+"}${String(Math.abs(exponent)).padStart(2, "0")}`;
    const fixed = Object.is(value, -0) ? "-0" : String(value);
    return fixed.includes(".") ? fixed : `${fixed}.0`;
}

/** A date alone has two digits in each place; a moment may have one (resolver.py and constructor.py). */
const timestampPattern =
    /^(?:\d{4}-\d\d-\d\d|(\d{4})-(\d\d?)-(\d\d?)(?:[Tt]|[ \t]+)(\d\d?):(\d\d):(\d\d)(?:\.(\d*))?(?:[ \t]*(?:Z|([-+])(\d\d?)(?::?(\d\d))?))?)$/;

interface Moment {
    /** `2001-12-14`, or `2001-12-14 21:59:43.100000-05:00`. */
    readonly text: string;
    readonly milliseconds: number;
}

function moment(source: string, complain: Complain): Moment {
    const parts = timestampPattern.exec(source) ?? [];
    const [, year, month = "", day = "", hour = "", minute, second, fraction = "", sign, zoneHour = "", zoneMinute] =
        parts;
    const two = (digits: string): string => digits.padStart(2, "0");
    const date = year === undefined ? source : `${year}-${two(month)}-${two(day)}`;
    const time = year === undefined ? "" : `${two(hour)}:${minute ?? ""}:${second ?? ""}`;
    const micro = fraction.slice(0, 6).padEnd(6, "0");
    const local = new Date(`${date}T${time === "" ? "00:00:00" : time}Z`);
    // JavaScript takes the 30th of February for the second of March, and Python refuses it.
    if (Number.isNaN(local.getTime()) || !local.toISOString().startsWith(date)) complain("a date that does not exist");
    const minutes = (Number(zoneHour) * 60 + Number(zoneMinute ?? 0)) * (sign === "-" ? -1 : 1);
    const zone = source.endsWith("Z")
        ? "+00:00"
        : sign === undefined
          ? ""
          : `${minutes < 0 ? "-" : "+"}${two(zoneHour)}:${zoneMinute ?? "00"}`;
    return {
        text: time === "" ? date : `${date} ${time}${Number(micro) === 0 ? "" : `.${micro}`}${zone}`,
        milliseconds: local.getTime() + Math.floor(Number(micro) / 1000) - minutes * 60_000,
    };
}

/** `y` and `1e3` are strings here, other than in the YAML 1.1 type repository. */
const pythonScalars: readonly PythonScalar[] = [
    {
        tag: "tag:yaml.org,2002:bool",
        default: true,
        identify: (value) => typeof value === "boolean",
        test: /^(?:yes|Yes|YES|no|No|NO|true|True|TRUE|false|False|FALSE|on|On|ON|off|Off|OFF)$/,
        resolve: (text) => /^(?:yes|true|on)$/i.test(text),
        asText: (text) => (/^(?:yes|true|on)$/i.test(text) ? "True" : "False"),
        stringify: ({ value }) => String(value),
    },
    {
        tag: "tag:yaml.org,2002:int",
        default: true,
        identify: Number.isSafeInteger,
        test: /^(?:[-+]?0b[01_]+|[-+]?0[0-7_]+|[-+]?(?:0|[1-9][0-9_]*)|[-+]?0x[0-9a-fA-F_]+|[-+]?[1-9][0-9_]*(?::[0-5]?[0-9])+)$/,
        resolve: (text, complain) => {
            const value = integer(text);
            if (Number.isSafeInteger(Number(value))) return Number(value);
            complain(tooLarge);
            return String(value);
        },
        asText: (text) => String(integer(text)),
        stringify: ({ value }) => String(value),
    },
    {
        tag: "tag:yaml.org,2002:float",
        default: true,
        identify: (value) => typeof value === "number",
        test: /^(?:[-+]?(?:[0-9][0-9_]*)\.[0-9_]*(?:[eE][-+][0-9]+)?|\.[0-9][0-9_]*(?:[eE][-+][0-9]+)?|[-+]?[0-9][0-9_]*(?::[0-5]?[0-9])+\.[0-9_]*|[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN))$/,
        resolve: float,
        asText: (text) => floatText(float(text)),
        stringify: ({ value }) => floatYaml(Number(value)),
    },
    {
        tag: "tag:yaml.org,2002:timestamp",
        default: true,
        identify: (value) => value instanceof PythonTimestamp,
        test: timestampPattern,
        resolve: (text, complain) => new PythonTimestamp(text, moment(text, complain).milliseconds),
        asText: (text, complain) => moment(text, complain).text,
        stringify: ({ value }) => (value instanceof PythonTimestamp ? value.source : String(value)),
    },
];
const replaced = new Set(pythonScalars.map(({ tag }) => tag));

/** What is said of an integer that JavaScript would round. */
export const tooLarge = "a whole number that is too large to be kept exactly";

const dialectOf = (scalars: readonly ScalarTag[]) => ({
    version: "1.1" as const,
    merge: true,
    // PyYAML takes the last of a key that comes twice; who reads has to say so.
    uniqueKeys: false,
    customTags: (tags: Tags): Tags => [
        ...scalars,
        ...tags.filter((tag) => typeof tag === "string" || !replaced.has(tag.tag)),
    ],
});

/** PyYAML's YAML 1.1. */
export const pythonDialect = dialectOf(pythonScalars);

/** The same, but every word is the text that Python makes of it: `yes` is `True`, `010` is `8`. */
export const pythonTexts = dialectOf(
    pythonScalars.map(({ asText, ...scalar }) => ({ ...scalar, identify: () => false, resolve: asText })),
);
