/** What a run calls its objects on both servers: whoever finds one there knows whose it is. */

/** Of every slot, publication and subscription of this program; nobody else's begins with it. */
export const replicationPrefix = "synapse_migration_";

/** Slot, publication and subscription of a run have one name; run ids fit what PostgreSQL allows in the name of a slot. */
export const replicationName = (run: string): string => `${replicationPrefix}${run}`;
