/** What a directory or an archive holds, by the names in it: the files that only one kind of export has. */
/** Synapse `media/filepath.py`: folders that every store has some of. */
const mediaFolders = ["local_content", "local_thumbnails", "remote_content", "remote_thumbnail"];

export type NamedContent = "directory-dump" | "media-store" | "mmr-archive";

/**
 * @param names  relative paths; directories end in `/`
 * @returns undefined when they are of no known kind
 */
export function contentOfNames(names: readonly string[]): NamedContent | undefined {
    // pg_dump -Fd: the table of contents beside `<number>.dat[.gz]`.
    if (names.some((name) => /(^|\/)toc\.dat$/.test(name))) return "directory-dump";
    if (names.some((name) => mediaFolders.some((folder) => `/${name}`.includes(`/${folder}/`)))) return "media-store";
    // matrix-media-repo: its manifest, its archives, or what is in them, `<origin>__<media id>`.
    const isExport = (name: string): boolean =>
        /(^|\/)(manifest\.json|export-(manifest|part-\d+)\.t(ar\.)?gz(\.gpg)?)$/.test(name) ||
        /(^|\/)[\w.:[\]-]+__[\w.=-]+$/.test(name);
    return names.some(isExport) ? "mmr-archive" : undefined;
}
