import { expect } from "chai";
import { bundleSources, declare, passphrase, target, type Setting } from "./stacks.ts";

const acceptMissingMedia = `12:${"0a".repeat(32)}`;
const noCanary = { canaryUser: undefined, canaryPassword: undefined };
const mediaRepo = { kind: "mediaRepo", importer: "/opt/gdpr_import", config: "/etc/mr.yaml", directory: "/srv/hand" };
const place = { synapsePython: "/srv/venv/bin/python", postgresPrograms: "/usr/lib/postgresql/15/bin" };

const routes: readonly (readonly [string, Readonly<Record<string, Setting>>, readonly string[]])[] = [
    ["into the target's store", {}, ["assess", "media-early", "media-final", "verify"]],
    [
        "to matrix-media-repo",
        { remoteMedia: "drop", target: { ...target, media: mediaRepo } },
        ["assess", "hand-media", "verify"],
    ],
    [
        "into a bundle",
        { ...noCanary, passphrase, target: { kind: "emsBundle", directory: "/srv/bundle", ...place } },
        ["assess", "export-media"],
    ],
    ["out of a bundle", { source: bundleSources.backup }, ["assess", "import-media", "verify"]],
];

describe("missing media that are accepted", () => {
    for (const [route, changes, steps] of routes)
        it(`are known to each step that compares media with the database: ${route}`, async () => {
            const { recording } = await declare({ phase: "finish", acceptMissingMedia, ...changes });
            const told = recording.commands.filter(({ inputs }) => JSON.stringify(inputs).includes(acceptMissingMedia));
            expect(told.map(({ name }) => name).sort()).to.deep.equal([...steps].sort());
        });
});
