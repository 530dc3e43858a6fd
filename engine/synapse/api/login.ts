/** Logs in with a password. */
import { z } from "zod";
import type { MatrixApi } from "./matrixApi.ts";

/** Undefined when the homeserver does not accept the password. */
export async function logIn(
    api: MatrixApi,
    { user, password, device }: { readonly user: string; readonly password: string; readonly device: string },
): Promise<{ userId: string; accessToken: string } | undefined> {
    const answer = await api.ask("/_matrix/client/v3/login", {
        method: "POST",
        body: {
            type: "m.login.password",
            identifier: { type: "m.id.user", user },
            password,
            initial_device_display_name: device,
        },
    });
    const found = z.object({ user_id: z.string(), access_token: z.string() }).safeParse(answer.json).data;
    return found === undefined ? undefined : { userId: found.user_id, accessToken: found.access_token };
}
