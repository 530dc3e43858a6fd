import { expect } from "chai";
import fc from "fast-check";
import { stringify } from "yaml";
import { editedConfig } from "../../../engine/installed/editedConfig.ts";
import { parseSynapseYaml } from "../../../engine/synapse/config/pythonYaml.ts";

const sectionsOf = (text: string) => parseSynapseYaml("homeserver.yaml", text)?.sections ?? {};

const written = `# Ours since 2017
server_name: a.test   # never to be changed
password_config:
    # generated
    pepper: "old"
    policy:
        enabled: true

# What is below is for the bridge.
app_service_config_files:
  - /etc/bridge.yaml
macaroon_secret_key: 'old'
`;

describe("a configuration that people have written", () => {
    it("keeps every line but those of what is set, which become comments", () => {
        const edited = editedConfig(written, { password_config: { pepper: "new" }, macaroon_secret_key: null });
        expect(sectionsOf(edited)).to.deep.equal({
            server_name: "a.test",
            app_service_config_files: ["/etc/bridge.yaml"],
            password_config: { pepper: "new" },
            macaroon_secret_key: null,
        });
        for (const line of ["# Ours since 2017", "server_name: a.test   # never to be changed", "    # generated"])
            expect(edited.split("\n")).to.include(line);
        expect(edited).to.contain('#     pepper: "old"\n#     policy:\n#         enabled: true\n\n# What is below');
    });

    it("gets what it has not, whether its last line ends or not", () => {
        expect(sectionsOf(editedConfig("server_name: a.test", { form_secret: "f" }))).to.deep.equal({
            server_name: "a.test",
            form_secret: "f",
        });
        expect(sectionsOf(editedConfig("", { form_secret: "f" }))).to.deep.equal({ form_secret: "f" });
    });

    it("says what is set, and of all else what it said, whatever stands in it", () => {
        const key = fc.constantFrom("a", "b", "c", "d");
        const value = fc.oneof(fc.string(), fc.integer(), fc.array(fc.string()), fc.dictionary(key, fc.string()));
        const mapping = fc.dictionary(key, value, { noNullPrototype: true });
        fc.assert(
            fc.property(mapping, mapping, fc.boolean(), (before, settings, flow) => {
                const text = stringify(before, { collectionStyle: flow ? "flow" : "block", version: "1.1" });
                expect(sectionsOf(editedConfig(text, settings))).to.deep.equal({ ...sectionsOf(text), ...settings });
            }),
        );
    });
});
