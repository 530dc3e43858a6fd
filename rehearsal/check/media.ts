/** Whether every file is there, byte by byte. */
import { digest, download, thumbnail } from "../source/population/mediaFiles.ts";
import { asUser, differs, forEach, type HomeserverCheck } from "./outcome.ts";

export const mediaChecks: readonly HomeserverCheck[] = [
    {
        name: "media and thumbnails",
        run: (checked) =>
            forEach(
                "files",
                checked.expected.media,
                ({ mxc }) => mxc,
                async ({ mxc, sizeBytes, sha256, thumbnails }) => {
                    const client = asUser(checked, checked.expected.users[0]?.userId ?? "");
                    const bytes = await download(client, mxc);
                    const problems = [
                        ...differs("size", bytes.length, sizeBytes),
                        ...differs("sha-256", digest(bytes), sha256),
                    ];
                    for (const size of thumbnails) {
                        const found = digest(await thumbnail(client, mxc, size));
                        problems.push(...differs(`thumbnail ${size.width}x${size.height}`, found, size.sha256));
                    }
                    return problems;
                },
            ),
    },
];
