/** Property values as the engine writes them on the wire: secrets, unknowns, and what changed between two sets. */
import type { JavaScriptValue, Struct } from "google-protobuf/google/protobuf/struct_pb.js";

export type PropertyValue = JavaScriptValue;
export type Properties = Record<string, PropertyValue>;

/** Marks an object as something other than a plain map (sdk/go/common/resource/properties.go, `SigKey`). */
const signatureKey = "4dabf18193072939515e22adb298388d";
const secretSignature = "1b47061264138c4ac30d75fd1eb44270";
/** Stands for a value that a preview cannot know (sdk/go/common/resource/plugin/rpc.go, `UnknownStringValue`). */
export const unknownValue = "04da6b54-80e4-46f7-96ec-b56ff0331ba9";

function isMap(value: PropertyValue | undefined): value is Properties {
    return typeof value === "object" && value !== null && !Array.isArray(value);
}

function isList(value: PropertyValue): value is PropertyValue[] {
    return Array.isArray(value);
}

/** The value without its secret wrappers, at every depth. Only for use, never to be sent back: it would lose its protection. */
function revealed(value: PropertyValue): PropertyValue {
    if (Array.isArray(value)) return value.map(revealed);
    if (!isMap(value)) return value;
    if (value[signatureKey] === secretSignature) return revealed(value["value"] ?? null);
    return revealedProperties(value);
}

/** As {@link revealed}, for a set of properties; those that are null count as absent. */
export function revealedProperties(properties: Properties): Properties {
    return Object.fromEntries(
        Object.entries(properties).flatMap(([key, value]) => {
            const plain = revealed(value);
            return plain === null ? [] : [[key, plain] as const];
        }),
    );
}

function present(value: PropertyValue): PropertyValue {
    if (Array.isArray(value)) return value.map(present);
    return isMap(value) ? presentProperties(value) : value;
}

/** The properties without those that are null, which count as absent; secrets stay wrapped. */
export function presentProperties(properties: Properties): Properties {
    return Object.fromEntries(
        Object.entries(properties).flatMap(([key, value]) => (value === null ? [] : [[key, present(value)] as const])),
    );
}

const isSecret = (value: PropertyValue): boolean => isMap(value) && value[signatureKey] === secretSignature;

/** Whether the value is unknown or has an unknown part. */
export function hasUnknown(value: PropertyValue): boolean {
    if (Array.isArray(value)) return value.some(hasUnknown);
    if (isMap(value)) return Object.values(value).some(hasUnknown);
    return value === unknownValue;
}

export type ChangeKind = "add" | "delete" | "update";

/**
 * What changed between two sets of properties, by path as the engine writes paths: `environment.HOME`, `triggers[0]`, `environment["a.b"]`.
 *
 * A secret is one value, whatever is in it, and another one than the same in the open (sdk/go/common/resource/properties_diff.go).
 */
export function changesBetween(old: Properties, now: Properties): Map<string, ChangeKind> {
    const changes = new Map<string, ChangeKind>();
    compare("", old, now, changes);
    return changes;
}

function compare(
    path: string,
    old: PropertyValue | undefined,
    now: PropertyValue | undefined,
    changes: Map<string, ChangeKind>,
): void {
    if (old === undefined || now === undefined) {
        if (old !== now) changes.set(path, old === undefined ? "add" : "delete");
    } else if (isSecret(old) || isSecret(now)) {
        const within = new Map<string, ChangeKind>();
        if (isSecret(old) && isSecret(now)) compare("", revealed(old), revealed(now), within);
        if (within.size > 0 || isSecret(old) !== isSecret(now)) changes.set(path, "update");
    } else if (isList(old) && isList(now)) {
        for (let index = 0; index < Math.max(old.length, now.length); index++)
            compare(`${path}[${index}]`, old[index], now[index], changes);
    } else if (isMap(old) && isMap(now)) {
        for (const key of new Set([...Object.keys(old), ...Object.keys(now)]))
            compare(memberPath(path, key), old[key], now[key], changes);
    } else if (old !== now) {
        changes.set(path, "update");
    }
}

function memberPath(path: string, key: string): string {
    if (!/^[A-Za-z_$][\w$]*$/.test(key)) return `${path}[${JSON.stringify(key)}]`;
    return path === "" ? key : `${path}.${key}`;
}

/** A set of properties as it comes. */
export type Message = InstanceType<typeof Struct> | undefined;

/** As it came, secrets wrapped. */
export const wire = (message: Message): Properties => message?.toJavaScript() ?? {};
/** For use, without its wrappers. */
export const plain = (message: Message): Properties => revealedProperties(wire(message));
