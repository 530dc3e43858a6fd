/** How an error reaches people through Pulumi: as its block, and nothing else. */
import * as pulumi from "@pulumi/pulumi";
import { MigrationError, MigrationErrors } from "../steps/run/errors.ts";

/**
 * The error as Pulumi should show it.
 *
 * Without a stack, because the SDK prints every error that has one with the whole graph of objects around it, which takes it
 * 20 s of computing. An error of ours has nothing in its stack that its block does not say; others keep theirs as text.
 */
export function readableError(error: unknown): Error {
    const ours = error instanceof MigrationError || error instanceof MigrationErrors;
    const message = ours ? `\n${error.block}` : error instanceof Error ? (error.stack ?? error.message) : String(error);
    const readable = new pulumi.RunError(message);
    Object.defineProperty(readable, "stack", { value: undefined });
    return readable;
}
