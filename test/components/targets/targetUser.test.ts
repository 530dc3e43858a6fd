import { expect } from "chai";
import { declare, target } from "../stacks.ts";

describe("the user of a local target's servers", () => {
    const steps = ["secrets", "database", "media-storage"];

    it("is told to the steps that may be the first to make its directory, and to the assessment", async () => {
        const { recording } = await declare({ phase: "stage", target: { ...target, user: "homeserver" } });
        for (const step of ["assess", ...steps]) expect(recording.spec(step), step).to.include({ user: "homeserver" });
    });

    it("is nothing to them where it is not configured, as in stacks that are in use", async () => {
        const { recording } = await declare({ phase: "stage" });
        for (const step of ["assess", ...steps]) expect(recording.spec(step), step).not.to.have.property("user");
    });
});
