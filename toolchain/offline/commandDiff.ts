/** What changed between a command's state and its new inputs, as the official plugin `command` 1.2.1 sees it. */
import provider from "@pulumi/pulumi/proto/provider_pb.js";
import { commandInputs } from "./commandInputs.ts";
import { changesBetween, presentProperties, wire, type ChangeKind } from "./propertyValues.ts";

const inputNames = Object.keys(commandInputs.shape);

const { DiffResponse } = provider;
const ChangeKinds = provider.PropertyDiff.Kind;
type ChangeKindCode = Parameters<InstanceType<typeof provider.PropertyDiff>["setKind"]>[0];
const kinds: Readonly<Record<ChangeKind, { readonly update: ChangeKindCode; readonly replace: ChangeKindCode }>> = {
    add: { update: ChangeKinds.ADD, replace: ChangeKinds.ADD_REPLACE },
    delete: { update: ChangeKinds.DELETE, replace: ChangeKinds.DELETE_REPLACE },
    update: { update: ChangeKinds.UPDATE, replace: ChangeKinds.UPDATE_REPLACE },
};

/** Every changed input is an update; triggers replace. */
export function diffCommand(
    request: InstanceType<typeof provider.DiffRequest>,
): InstanceType<typeof provider.DiffResponse> {
    // With their secrets: a value that becomes secret, or stops being it, has changed.
    const state = presentProperties(wire(request.getOlds()));
    const old = Object.fromEntries(Object.entries(state).filter(([key]) => inputNames.includes(key)));
    const now = presentProperties(wire(request.getNews()));
    for (const key of request.getIgnorechangesList()) {
        const kept = old[key];
        if (kept !== undefined) now[key] = kept;
    }
    const changes = changesBetween(old, now);
    const replaces = (path: string): boolean => /^triggers\b/.test(path);
    const response = new DiffResponse();
    response.setHasdetaileddiff(true);
    response.setChanges(changes.size > 0 ? DiffResponse.DiffChanges.DIFF_SOME : DiffResponse.DiffChanges.DIFF_NONE);
    response.setDiffsList([...new Set([...changes.keys()].map((path) => path.split(/[.[]/)[0] ?? path))]);
    response.setReplacesList([...changes.keys()].some(replaces) ? ["triggers"] : []);
    for (const [path, kind] of changes) {
        const change = new provider.PropertyDiff();
        change.setKind(kinds[kind][replaces(path) ? "replace" : "update"]);
        response.getDetaileddiffMap().set(path, change);
    }
    return response;
}
