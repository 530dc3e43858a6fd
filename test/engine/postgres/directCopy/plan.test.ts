import { expect } from "chai";
import fc from "fast-check";
import { parsePostData, type PostDataEntry } from "../../../../engine/postgres/directCopy/schemaArchive.ts";
import { copyStatements, partsOf, type CopiedTable } from "../../../../engine/postgres/directCopy/tableParts.ts";
import { TaskBoard, type BoardTask } from "../../../../engine/postgres/directCopy/taskBoard.ts";
import { planTasks } from "../../../../engine/postgres/directCopy/tasks.ts";

const table = (name: string, megabytes: number, pages = megabytes * 128): CopiedTable => ({
    ...{
        oid: "1",
        schema: "public",
        name,
        bytes: megabytes * 1024 * 1024,
        pages,
        filenode: "1",
        columns: ["a", 'b"c'],
    },
});

describe("the plan of a direct copy", () => {
    it("divides a table of more than a connection's share, and only such a table", () => {
        const parts = partsOf([table("large", 1000), table("small", 200)], 2);
        expect(parts.map(({ table: { name }, fromPage, toPage }) => [name, fromPage, toPage])).to.deep.equal([
            ["large", undefined, 32_000],
            ["large", 32_000, 64_000],
            ["large", 64_000, 96_000],
            ["large", 96_000, undefined],
            ["small", undefined, undefined],
        ]);
        expect(partsOf([table("large", 1000)], 1)).to.have.length(1);
        expect(partsOf([table("a", 400), table("b", 400), table("c", 200)], 2)).to.have.length(3);
        expect(partsOf([table("a", 60), table("b", 60)], 16), "rows of a part cannot be frozen").to.have.length(2);
        // All of it is stored beside its pages.
        expect(partsOf([table("values", 1000, 1)], 8)).to.have.length(1);
    });

    it("has every page in one part, whatever the sizes", () => {
        fc.assert(
            fc.property(
                fc.integer({ min: 0, max: 100_000 }),
                fc.nat(1_000_000),
                fc.integer({ min: 1, max: 64 }),
                (size, pages, jobs) => {
                    const parts = partsOf([table("any", size, pages)], jobs);
                    expect(parts[0]?.fromPage).to.equal(undefined);
                    expect(parts.at(-1)?.toPage).to.equal(undefined);
                    for (const [index, part] of parts.entries())
                        if (index > 0)
                            expect(part.fromPage)
                                .to.be.a("number")
                                .that.equals(parts[index - 1]?.toPage);
                },
            ),
        );
    });

    it("reads ranges of pages, and writes whole tables frozen, but for small ones", () => {
        const small = copyStatements({ table: table("t", 1), bytes: 1 });
        expect(small.into).to.equal('COPY "public"."t" ("a", "b""c") FROM STDIN');
        const whole = copyStatements({ table: table("t", 5), bytes: 1 });
        expect(whole.into).to.equal('COPY "public"."t" ("a", "b""c") FROM STDIN WITH (FREEZE)');
        const part = copyStatements({ table: table("t", 1), bytes: 1, fromPage: 3, toPage: 9 });
        expect(part.out).to.equal(
            `COPY (SELECT "a", "b""c" FROM ONLY "public"."t" WHERE ctid >= '(3,0)' AND ctid < '(9,0)') TO STDOUT`,
        );
        expect(part.into).to.equal('COPY "public"."t" ("a", "b""c") FROM STDIN');
    });

    it("takes entries apart, also where a comment looks like a heading", () => {
        const entry = (id: number, name: string, kind: string, text: string): string =>
            `--\n-- TOC entry ${id} (class 1259 OID ${id + 1})\n-- Dependencies: 1 2\n-- Name: ${name}; Type: ${kind}; Schema: public; Owner: -\n--\n\n${text}\n\n\n`;
        const comment = "COMMENT ON INDEX public.i IS 'x\n-- Completed on\n--\n-- Name: y; Type: INDEX';";
        const script = `-- Started on now\nSET a = b;\n\n${entry(7, "i", "INDEX", "CREATE INDEX i;")}${entry(9, "INDEX i", "COMMENT", comment)}-- Completed on today\n\n--\n-- end\n`;
        expect(parsePostData(script)).to.deep.equal({
            ids: [7, 9],
            entries: [
                { kind: "INDEX", name: "i", oid: "8", text: "CREATE INDEX i;" },
                { kind: "COMMENT", name: "INDEX i", oid: "10", text: comment },
            ],
        });
    });

    describe("its tasks", () => {
        const entry = (kind: string, oid: string): PostDataEntry => ({ kind, name: oid, oid, text: `${kind} ${oid}` });
        const tablesOf = new Map([
            ["i1", ["public.a"]],
            ["c2", ["public.a"]],
            ["c3", ["public.b", "public.a"]],
        ]);
        const entries = [
            entry("CONSTRAINT", "2"),
            entry("INDEX", "1"),
            entry("TRIGGER", "4"),
            entry("FK CONSTRAINT", "3"),
        ];
        const pumping = { onBytes: () => undefined, onRows: () => undefined, signal: new AbortController().signal };
        const parts = partsOf([table("a", 1000), table("b", 10)], 2).map((part, id) => ({ ...part, id }));

        it("build an index once all parts of its table are in, a foreign key once both tables have their indexes", () => {
            const { tasks, rest } = planTasks(parts, entries, tablesOf, pumping);
            const of = (kind: string) => tasks.filter((task) => task.kind === kind);
            for (const index of of("index")) expect(index.needs).to.have.length(4);
            expect(of("key").map(({ needs }) => needs.length)).to.deep.equal([4 + 1 + 2]);
            expect(of("analyze").map(({ needs }) => needs.length)).to.deep.equal([4 + 2, 1]);
            expect(rest).to.deep.equal([entry("TRIGGER", "4")]);
        });

        it("leave foreign keys in their order where indexes are attached to those of partitioned tables", () => {
            const attached = [...entries, entry("INDEX ATTACH", "5")];
            const { rest } = planTasks(parts, attached, tablesOf, pumping);
            expect(rest.map(({ kind }) => kind)).to.deep.equal(["TRIGGER", "FK CONSTRAINT", "INDEX ATTACH"]);
        });

        it("are one for a small table, with all that is its own", () => {
            const small = partsOf([table("a", 1), table("b", 1)], 2).map((part, id) => ({ ...part, id }));
            const { tasks, rest } = planTasks(small, entries, tablesOf, pumping);
            expect(tasks.map(({ kind, tables, needs }) => [kind, tables.join(), needs.length])).to.deep.equal([
                ["rows", "public.a", 0],
                ["rows", "public.b", 0],
                ["key", "public.b,public.a", 2],
            ]);
            expect(rest).to.deep.equal([entry("TRIGGER", "4")]);
        });

        it("do not copy what is copied", () => {
            const done = parts.map((part) => ({ ...part, rows: 1 }));
            const { tasks } = planTasks(done, entries, tablesOf, pumping);
            expect(tasks.map(({ kind }) => kind)).to.not.include("rows");
            expect(tasks.find(({ kind }) => kind === "index")?.needs).to.deep.equal([]);
        });
    });

    describe("its board", () => {
        interface Named extends BoardTask {
            readonly name: string;
        }
        const task = (name: string, weight: number, needs: BoardTask[] = [], alone = false): Named => ({
            ...{ name, weight, needs, alone, tables: [name.slice(0, 1)] },
        });

        it("gives the heaviest that may be done, and none beside one that forbids it", async () => {
            const first = task("a1", 1);
            const tasks = [first, task("a2", 9, [first], true), task("a3", 8, [first]), task("b", 5)];
            const board = new TaskBoard(tasks, new AbortController().signal);
            const log: string[] = [];
            let lastEnded: () => void = () => undefined;
            const allOthers = new Promise<void>((resolve) => (lastEnded = resolve));
            const lane = () =>
                board.serve(async ({ name }) => {
                    log.push(`+${name}`);
                    await (name === "b" ? allOthers : new Promise((resolve) => setImmediate(resolve)));
                    log.push(`-${name}`);
                    if (name === "a3") lastEnded();
                });
            await Promise.all([lane(), lane(), lane()]);
            expect(log).to.deep.equal(["+b", "+a1", "-a1", "+a2", "-a2", "+a3", "-a3", "-b"]);
        });

        it("says so when tasks wait for each other, and stops when it is told to", async () => {
            const other = task("never", 1);
            const stuck = new TaskBoard([task("a", 1, [other])], new AbortController().signal);
            const outcome = await stuck.serve(() => Promise.resolve()).catch((error: unknown) => error);
            expect(outcome).to.be.an("error").with.property("message", "tasks that wait for each other");
            const stop = new AbortController();
            const first = task("a", 1);
            const board = new TaskBoard([first, task("b", 1, [first])], stop.signal);
            const waits = new Promise(() => undefined);
            const working = board.serve(() => waits.then(() => undefined));
            working.catch(() => undefined);
            const idle = board.serve(() => Promise.resolve()).catch((error: unknown) => error);
            stop.abort(new Error("enough"));
            expect(await idle)
                .to.be.an("error")
                .with.property("message", "enough");
        });
    });
});
