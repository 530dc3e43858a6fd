/** How an error reaches people through Pulumi: as its block, and nothing else. */
import * as pulumi from "@pulumi/pulumi";
import { MigrationError, MigrationErrors } from "../engine/run/errors.ts";

/**
 * The error as Pulumi should show it.
 *
 * Without a stack, because the SDK prints every error that has one with the whole graph of objects around it, which takes it
 * 20 s of computing. An error of ours has nothing in its stack that its block does not say; others keep theirs as text.
 */
export function readableError(error: unknown): Error {
    const ours = error instanceof MigrationError || error instanceof MigrationErrors;
    const readable = new pulumi.RunError(ours ? `\n${error.block}` : described(error));
    Object.defineProperty(readable, "stack", { value: undefined });
    return readable;
}

function described(error: unknown): string {
    if (!(error instanceof Error)) return String(error);
    const { message, stack = message } = error;
    return pulumi.RunError.isInstance(error) ? message : stack;
}
