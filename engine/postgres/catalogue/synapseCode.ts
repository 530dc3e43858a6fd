/**
 * The code that Synapse itself has in PostgreSQL, by name and by what it says: another body under one of these names is not Synapse's.
 *
 * From Synapse's `synapse/storage/schema/main/`: its deltas of schema 60 to 92 and its full schema 72.
 */

/** SHA-256 of what a function's body may be, by its signature; of several where a later delta has replaced it. */
export const synapseFunctions: Readonly<Record<string, readonly string[]>> = {
    // delta/61/03recreate_min_depth.py; gone once a background update has ended
    "public.populate_min_depth2()": ["8718e8473c273e7a6953974b0ecc1dcb275ffe738633614057829ff11a364147"],
    // delta/68/05partial_state_rooms_triggers.py, full_schemas/72
    "public.check_partial_state_events()": ["f85d1faef34d52ef7ad7dae060c9574622b5243d4dfde5834c3dea9348a84df2"],
    // delta/74/04_membership_tables_event_stream_ordering_triggers.py
    "public.check_event_stream_ordering()": ["2ec72669a2c39dd55eac4c8a7acf4bea1aeabf531dbe6729eb64b4b4b65e6d7e"],
    // delta/78/04_read_write_locks_triggers.sql of older versions, delta/79/05_…, delta/80/03_…
    "public.upsert_read_write_lock_parent()": [
        "db8867953a2f143a532e5fe26216e693af057d982539c20d27ac3e1162d1cd40",
        "4429fee27466441d4664a72429d7320f72084fa2d94759e7b59dd299eee8606c",
        "e7f779b66e78fa47317a89571554b997f33723c5e60a8413154cb51c760c6fa0",
    ],
    // the same, and delta/80/04_read_write_locks_deadlock.sql
    "public.delete_read_write_lock_parent()": [
        "b95c62144ae6fcf1eab798b830a132573ad8912e29c46f0b99ff9e1523a98a17",
        "3437c5345906a9831e59261cdc9a362caeb4fd50fa06e160b55459a87310a416",
        "18ddfc3a68dc4f6819512116d23e41d4c219c09567f5832dcbd3d11b2b32cf96",
    ],
    // delta/92/01_event_stats_trigger.py of some versions; delta/92/01_remove_trigger.sql of newer ones removes it
    "public.event_stats_increment_counts()": ["6fba23d6d8da742c4a206843f85aacfcd10086a422c54279ff1faef9e1f244c0"],
};

const beforeWriting = (trigger: string, table: string, call: string): string =>
    `CREATE TRIGGER ${trigger} BEFORE INSERT OR UPDATE ON public.${table} FOR EACH ROW EXECUTE FUNCTION public.${call}()`;

/** As `pg_get_triggerdef` writes them where nothing but `pg_catalog` is searched. */
export const synapseTriggers: ReadonlySet<string> = new Set([
    beforeWriting("populate_min_depth2_trigger", "room_depth", "populate_min_depth2"),
    beforeWriting("check_partial_state_events", "partial_state_events", "check_partial_state_events"),
    ...["current_state_events", "local_current_membership", "room_memberships"].map((table) =>
        beforeWriting("check_event_stream_ordering", table, "check_event_stream_ordering"),
    ),
    ...["event_stats_increment_counts", "event_stats_increment_counts_trigger"].map(
        (name) =>
            `CREATE TRIGGER ${name} AFTER INSERT OR DELETE ON public.events FOR EACH ROW EXECUTE FUNCTION public.event_stats_increment_counts()`,
    ),
    "CREATE TRIGGER upsert_read_write_lock_parent_trigger BEFORE INSERT ON public.worker_read_write_locks FOR EACH ROW EXECUTE FUNCTION public.upsert_read_write_lock_parent()",
    "CREATE TRIGGER delete_read_write_lock_parent_trigger AFTER DELETE ON public.worker_read_write_locks FOR EACH ROW EXECUTE FUNCTION public.delete_read_write_lock_parent()",
]);

/** As `pg_get_ruledef` writes them, in one line. */
export const synapseRules: ReadonlySet<string> = new Set([
    // delta/60/01recreate_stream_ordering.sql; gone once a background update has ended
    "CREATE RULE populate_stream_ordering2 AS ON INSERT TO public.events DO UPDATE public.events SET stream_ordering2 = new.stream_ordering WHERE (events.stream_ordering = new.stream_ordering);",
]);
