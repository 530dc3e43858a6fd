/** The frame around the statements: header, trailer, and the few commands for psql that pg_dump itself writes. */
import { MigrationError } from "../../run/errors.ts";
import { connectedDatabase } from "./connectCommand.ts";

export class DumpFrame {
    public serverVersion = "";
    public programVersion = "";
    private begun = false;
    private ended: "no" | "trailer" | "closed" | "unrestricted" = "no";
    /** The key of `\restrict`; pg_dump writes it since August 2025. */
    private key: string | undefined;
    private restricted = false;
    /** Of `CREATE DATABASE`, which only `pg_dump --create` writes, until it has been connected to. */
    private created: string | undefined;
    private connected = false;

    /** @throws MigrationError SM-E0907, SM-E0909, SM-E0901 */
    public comment(text: string, where: string): void {
        const [, server] = /^-- Dumped from database version (\S.*)$/.exec(text) ?? [];
        const [, program] = /^-- Dumped by pg_dump version (\S.*)$/.exec(text) ?? [];
        if (server !== undefined && this.serverVersion === "") this.serverVersion = server;
        if (program !== undefined && this.programVersion === "") this.programVersion = program;
        switch (text) {
            case "-- PostgreSQL database cluster dump":
                throw new MigrationError("SM-E0907", {
                    where,
                    found: "a dump of a whole server, as pg_dumpall makes it",
                    fix: "dump the homeserver's database alone, `pg_dump DATABASE`; or restore this dump on a server of its own and dump it from there",
                });
            case "-- PostgreSQL database dump":
                if (this.begun) {
                    throw new MigrationError("SM-E0909", {
                        where,
                        found: "the beginning of a second dump",
                        expected: "one database in one file",
                        fix: "were several files joined? Give the one of the homeserver's database",
                    });
                }
                this.begun = true;
                return;
            case "-- PostgreSQL database dump complete":
                if (this.ended !== "no") throw surplus(where);
                this.ended = "trailer";
                return;
            case "--":
                if (this.ended === "trailer") this.ended = "closed";
                return;
        }
    }

    /** @throws MigrationError SM-E0907 when the header is missing, SM-E0901 after the trailer */
    public statement(where: string): void {
        if (this.ended !== "no") throw surplus(where);
        if (this.begun) return;
        throw new MigrationError("SM-E0907", {
            where,
            found: "a statement before pg_dump's first line",
            expected: "-- PostgreSQL database dump",
        });
    }

    public createDatabase(name: string, where: string): void {
        if (this.created !== undefined || this.connected) {
            throw new MigrationError("SM-E0909", {
                where,
                found: "a second CREATE DATABASE",
                expected: "one database in one file",
            });
        }
        this.created = name;
    }

    /**
     * @param untouched  whether the dump has made nothing yet
     * @throws MigrationError SM-E0902 for all that pg_dump does not write in this place
     */
    public command(text: string, untouched: boolean, where: string): void {
        const [, name = "", argument = ""] = /^\\(\w*)\s*(.*)$/.exec(text) ?? [];
        const connecting = this.created !== undefined && untouched;
        if (name === "restrict" && this.restrict(argument, untouched)) return;
        if (name === "unrestrict" && this.unrestrict(argument, connecting)) return;
        if (name === "connect" && connecting && !this.restricted && connectedDatabase(argument) === this.created) {
            this.created = undefined;
            this.connected = true;
            return;
        }
        // For the line that connects to a name that is no plain word; the settings come again behind it.
        if (name === "encoding" && argument === "SQL_ASCII" && connecting && !this.restricted) return;
        const what = `\\${name}`;
        const forged = name === "unrestrict" ? ", in another place or with another key than pg_dump writes it" : "";
        throw new MigrationError("SM-E0902", { where, found: `${what}${forged}`, expected: "SQL alone" });
    }

    /** Whether the dump may end here. */
    public get complete(): boolean {
        return this.ended === (this.key === undefined ? "closed" : "unrestricted");
    }

    private restrict(key: string, untouched: boolean): boolean {
        const isFirst = this.key === undefined && !this.connected;
        const isAgain = this.connected && key === this.key;
        if (!untouched || this.restricted || !(isFirst || isAgain) || !/^[A-Za-z0-9]+$/.test(key)) return false;
        this.key = key;
        this.restricted = true;
        return true;
    }

    private unrestrict(key: string, connecting: boolean): boolean {
        if (!this.restricted || key !== this.key || !(this.ended === "closed" || connecting)) return false;
        this.restricted = false;
        if (this.ended === "closed") this.ended = "unrestricted";
        return true;
    }
}

function surplus(where: string): MigrationError {
    return new MigrationError("SM-E0901", { where, found: "more behind the line that ends a dump" });
}
