/** Units for tests, made of what counts in them. */
import { unitsIn, type UnitFacts } from "../../../../engine/services/systemd/unitFacts.ts";

export type Relations = Partial<Omit<UnitFacts, "name">>;

/** A unit that is loaded and active, with these relations. */
export function unit(name: string, relations: Relations = {}): UnitFacts {
    const [plain] = unitsIn(`Id=${name}\nNames=${name}\nLoadState=loaded\nActiveState=active\nSubState=running\n`);
    if (plain === undefined) throw new Error("no unit was read");
    return { ...plain, ...relations };
}

export const graphOf = (...units: readonly UnitFacts[]): Map<string, UnitFacts> =>
    new Map(units.map((one) => [one.name, one]));
