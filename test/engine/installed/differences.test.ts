import { expect } from "chai";
import { lackingSettings } from "../../../engine/installed/differences.ts";

describe("what an installed homeserver does not have of the source's configuration (SM-W1607)", () => {
    it("is named without its value: what is missing there, and what is otherwise", () => {
        const source = { app_service_config_files: ["/bridge.yaml"], max_upload_size: "100M", turn_shared_secret: "s" };
        const [found, ...more] = lackingSettings(source, { max_upload_size: "50M", turn_shared_secret: "s" });
        expect(found).to.include({ id: "SM-W1607", severity: "warning" });
        expect(found?.evidence).to.match(/: app_service_config_files, max_upload_size$/);
        expect(more).to.deep.equal([]);
    });

    it("is nothing that is written, that is of one machine, or that is nothing", () => {
        const source = {
            ...{ macaroon_secret_key: "m", password_config: { pepper: "p" }, server_name: "a.test" },
            ...{
                database: { name: "psycopg2" },
                listeners: [],
                media_store_path: "/m",
                instance_map: {},
                modules: null,
            },
        };
        expect(lackingSettings(source, {})).to.deep.equal([]);
    });
});
