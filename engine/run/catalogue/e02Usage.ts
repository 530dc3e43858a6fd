/** SM-E02: what the program was told: configuration, specifications, command lines. */
import { entry, type CatalogueEntry } from "./entry.ts";

export const e02Usage = {
    "SM-E0200": entry(
        "usage",
        "the specification of a step is not valid",
        "a step that guesses what it was asked for may act on the wrong server",
        "correct the named fields; is this step called by an older or newer version of the program?",
    ),
    "SM-E0201": entry(
        "usage",
        "a key of the configuration is not known",
        "a mistyped key is a setting that silently does not hold",
        "correct the key; Pulumi.yaml describes all of them",
    ),
    "SM-E0202": entry(
        "usage",
        "the server name is not valid",
        "user, room and event ids end in the server name; another spelling is another server",
        "correct the server name: what do your user ids end in?",
    ),
    "SM-E0203": entry(
        "usage",
        "a configuration file cannot be read as Synapse would",
        "a setting that is read differently here than by Synapse may move the wrong server",
        "correct the named line, then check it with `python -m synapse.config -c homeserver.yaml`",
    ),
    "SM-W0204": entry(
        "usage",
        "a later configuration file overrides a setting of an earlier one",
        "Synapse replaces a top-level section as a whole, also when only a part of it is written in the later file",
        "check that the setting in the later file is the one meant",
    ),
    "SM-E0205": entry(
        "usage",
        "a secret is given twice, inline and as a path",
        "only one of them is in use, and which one is a guess",
        "remove the one that is not in use from the configuration",
    ),
    "SM-E0206": entry(
        "usage",
        "a setting of homeserver.yaml has a value that Synapse cannot use",
        "Synapse stops or answers 500 with such a value, so this cannot be the configuration in use",
        "correct the named setting; does a text that looks like a number or a date need quotes?",
    ),
    "SM-W0207": entry(
        "usage",
        "homeserver.yaml has relative paths",
        "Synapse resolves them against the directory it was started in, which the configuration does not tell",
        "write absolute paths into homeserver.yaml",
    ),
    "SM-E0210": entry(
        "usage",
        "a secret is not taken from the command line",
        "everybody on the machine can read command lines, and shells keep them in their history",
        "give it on standard input, in a file of mode 0600, or with `pulumi config set --secret`; change it if it was a real one",
    ),
    "SM-E0211": entry(
        "usage",
        "a value of the configuration is not valid",
        "a migration that guesses what was meant may act on the wrong server",
        "correct the value; Pulumi.yaml describes it",
    ),
    "SM-E0212": entry(
        "usage",
        "a value of the configuration is missing",
        "nothing is invented: a made-up key or path would make another server",
        "set it; was the stack's file written by `synapse-migrate init --from homeserver.yaml --stack NAME`?",
    ),
    "SM-E0213": entry(
        "state",
        "the result of a step cannot be read",
        "what follows builds on this result",
        "does the stack hold results of another version of the program? Start a new run (config `run`)",
    ),
    "SM-E0220": entry(
        "usage",
        "the configuration belongs to another stack",
        "two stacks that migrate the same homeserver would stop it under each other's hands",
        "select the stack that the file was written for: `pulumi stack select`; or correct the key `stack` of a file that was copied on purpose",
    ),
    "SM-E0221": entry(
        "secret",
        "the passphrase of the stack's secrets is missing or wrong",
        "without it Pulumi can neither read the stack's secrets nor add to them",
        "name a file of mode 0600 that holds it in PULUMI_CONFIG_PASSPHRASE_FILE, and unset PULUMI_CONFIG_PASSPHRASE, which comes first even when it is empty",
    ),
    "SM-E0222": entry(
        "secret",
        "a secret stands in the configuration in plain text",
        "whoever reads the file or its history can act as this homeserver",
        "set it again with `pulumi config set --secret`, and make a new one if the file has been shared",
    ),
    "SM-E0223": entry(
        "usage",
        "a package of Pulumi's is not of the version that the program is made for",
        "another version asks for another provider: npm's latest `@pulumi/command` sends private keys unprotected",
        "`npm ci --ignore-scripts` installs the versions of package-lock.json; was package.json changed?",
    ),
    "SM-E0224": entry(
        "usage",
        "this Node is too old",
        "what an older Node lacks may fail in the middle of a step, in words that do not name the cause",
        "is a newer Node installed, and first on PATH?",
    ),
    "SM-E0225": entry(
        "usage",
        "Pulumi.yaml has the program loaded in another way than it is made for",
        "Pulumi's TypeScript mode puts an old compiler between Node and the program; what fails then does not name the cause",
        'write `typescript: false` and `nodeargs: "--import tsx"` below `runtime.options` of Pulumi.yaml',
    ),
    "SM-E0226": entry(
        "usage",
        "the Pulumi CLI is not of a version that the program works with",
        "an older engine does not know all that the program asks of it",
        "`npm run toolchain`, then `npx pulumi`; or update the `pulumi` that comes first on PATH",
    ),
    "SM-E0227": entry(
        "usage",
        "the target would listen where the source does",
        "clients would reach it before it is proven, and past the closed gateway",
        "pulumi config set --path target.listener.port 0, or another port; then run `pulumi up` again",
    ),
} as const satisfies Record<string, CatalogueEntry>;
