import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import { expect } from "chai";
import { z } from "zod";
import { unwrappedSecret, type Registered } from "./recorder.ts";
import { bundleSources, declare, passphrase, type Setting } from "./stacks.ts";

const bundle = {
    directory: "/srv/bundle",
    synapsePython: "/srv/venv/bin/python",
    postgresPrograms: "/usr/lib/postgresql/15/bin",
};
const noCanary = { canaryUser: undefined, canaryPassword: undefined };
const stacks: Readonly<Record<string, Readonly<Record<string, Setting>>>> = {
    direct: {},
    archive: { copy: "archive" },
    replicate: { copy: "replicate" },
    emsExport: { ...noCanary, source: bundleSources.emsExport, passphrase, publicBaseUrl: undefined },
    emsBundle: { ...noCanary, passphrase, target: { kind: "emsBundle", ...bundle } },
};

/**
 * What version 0.1.0 has declared, a line a resource: `parent > type name | what it runs | triggers | digest of its specification`.
 *
 * Another parent, type or name is another resource to Pulumi: the old one is deleted, and its step undone. Another trigger does a step
 * again. Another program that it is run with, or another specification, is an update, which prints the old result, but a step that is called by hand again refuses it (SM-E0705).
 * What an update does again (assess, report, cleanup) was replaced then, and has fewer triggers now: it is replaced once more.
 * The report is updated once, as it comes after one step more. Digests are those of version 0.2.0, which calls the source's `host` its
 * `machine`: steps that a program of another version has done are not compared in what only one of the two says.
 */
const inUse = z
    .record(z.string(), z.array(z.string()))
    .parse(JSON.parse(readFileSync(new URL("stacksInUse.json", import.meta.url), "utf8")));

/** Made by a newer program in a stack that is committed already: what these do must be right then, too. */
const madeSince = ["clear-traces"];

function line({ name, type, parent, inputs }: Registered): string {
    const resource = `${parent} > ${type} ${name}`;
    if (type !== "command:local:Command") return resource;
    const { interpreter, triggers } = z
        .object({ interpreter: z.array(z.string()), triggers: z.array(z.union([z.string(), z.number()])) })
        .parse(inputs);
    // What names the stack and its target to the records is no part of what a step does, nor of its digest in the journal.
    const specification = createHash("sha256")
        .update(String(unwrappedSecret(inputs["stdin"])).replace(/,"stack":"test"(,"target":"[^"]+")?/, ""))
        .digest("hex");
    return [resource, interpreter.join(" "), triggers.join(" "), specification.slice(0, 16)].join(" | ");
}

describe("a stack that is in use", () => {
    for (const [name, changes] of Object.entries(stacks)) {
        it(`meets the resources that it has: ${name}`, async () => {
            const { recording } = await declare({ phase: "finish", ...changes });
            const met = recording.all.filter((one) => !madeSince.includes(one.name));
            expect(met.map(line).sort()).to.deep.equal([...(inUse[name] ?? [])].sort());
        });
    }
});
