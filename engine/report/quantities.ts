/** Numbers, durations, sizes and instants as people read them. Pure, and the same on every machine. */

/** Between digits and units, so that a number never breaks over two lines. */
const space = "\u00a0";

/** `12 034`: digits in groups of three. */
export function formatCount(value: number): string {
    return String(value).replace(/\B(?=(\d{3})+$)/g, space);
}

/** `0.4 s`, `12.3 s`, `4 min 05 s`, `2 h 03 min`, `3 d 4 h`. */
export function formatSeconds(seconds: number): string {
    if (seconds < 59.95) return `${seconds.toFixed(1)}${space}s`;
    const whole = Math.round(seconds);
    const [days, hours, minutes] = [
        Math.floor(whole / 86_400),
        Math.floor(whole / 3600) % 24,
        Math.floor(whole / 60) % 60,
    ];
    const two = (value: number): string => String(value).padStart(2, "0");
    if (days > 0) return `${days}${space}d${space}${hours}${space}h`;
    if (hours > 0) return `${hours}${space}h${space}${two(minutes)}${space}min`;
    return `${minutes}${space}min${space}${two(whole % 60)}${space}s`;
}

/** `512 B`, `1.5 KiB`, `728.4 MiB`. */
export function formatBytes(bytes: number): string {
    const units = ["B", "KiB", "MiB", "GiB", "TiB"];
    let value = bytes;
    let unit = 0;
    while (value >= 1024 && unit < units.length - 1) {
        value /= 1024;
        unit += 1;
    }
    return `${unit === 0 ? formatCount(value) : value.toFixed(1)}${space}${units[unit] ?? ""}`;
}

/** `2026-11-21 10:04:21 UTC` for an ISO instant. */
export function formatInstant(instant: string): string {
    return `${instant.slice(0, 10)}${space}${instant.slice(11, 19)}${space}UTC`;
}

/** `1 table`, `12 tables`. */
export function plural(value: number, one: string, many = `${one}s`): string {
    return `${formatCount(value)} ${value === 1 ? one : many}`;
}
