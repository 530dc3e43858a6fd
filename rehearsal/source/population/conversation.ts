/** What is said in a room: messages of all sorts, edits, reactions, replies, redactions, receipts. */
import { z } from "zod";
import type { ExpectedMedia } from "../expectations.ts";
import { matrixPath, type JsonObject } from "../matrixClient.ts";
import { unpaddedBase64 } from "../signingKey.ts";
import type { Account, Site } from "./site.ts";
import { nothing } from "./accounts.ts";
import type { Room } from "./rooms.ts";
import { trickyTexts } from "./trickyText.ts";

/** An event as it was sent. */
export interface Said {
    readonly eventId: string;
    readonly type: string;
    readonly content: JsonObject;
    readonly by: Account;
    redacted: boolean;
}

const sent = z.object({ event_id: z.string() });

/** The conversation of one room; says one thing after the other, so that its order is known. */
export class Conversation {
    /** All that was sent, oldest first. */
    public readonly said: Said[] = [];
    /** Read up to here: event id by user id. */
    public readonly receipts: Record<string, string> = {};

    constructor(
        private readonly site: Site,
        public readonly room: Room,
        private readonly media: readonly ExpectedMedia[],
    ) {}

    /** Says so many things, turn by turn. */
    public async say(count: number): Promise<void> {
        for (let done = 0; done < count; done++) await this.sayNext();
    }

    /** Says one text as a given member. */
    public async sayText(by: Account, body: string): Promise<Said> {
        return this.send(by, "m.room.message", { msgtype: "m.text", body });
    }

    /** Every member but the last has read the latest message. */
    public async read(): Promise<void> {
        const last = this.said.at(-1);
        if (last === undefined) return;
        for (const member of this.room.members.slice(0, -1)) {
            const path = matrixPath`/_matrix/client/v3/rooms/${this.room.roomId}/receipt/m.read/${last.eventId}`;
            await member.client.post(path, {}, nothing);
            this.receipts[member.userId] = last.eventId;
        }
    }

    private async sayNext(): Promise<void> {
        const number = this.said.length;
        const by = this.room.members[number % this.room.members.length];
        if (by === undefined) throw new Error("every room has members");
        const target = this.messageOf(by, number);
        if (this.room.kind === "encrypted") await this.send(by, "m.room.encrypted", this.ciphertext(by, number));
        else if (number % 11 === 10 && target !== undefined) await this.redact(by, target);
        else if (number % 11 === 7 && target !== undefined) await this.edit(by, target, number);
        else if (number % 11 === 5 && target !== undefined) await this.react(by, target);
        else if (number % 11 === 3) await this.sendMedia(by, number);
        else await this.send(by, "m.room.message", this.text(number));
    }

    private text(number: number): JsonObject {
        const body = trickyTexts[(number + this.room.index * 5) % trickyTexts.length] ?? "";
        const target = this.said.at(-1);
        const reply =
            number % 11 === 8 && target !== undefined
                ? { "m.relates_to": { "m.in_reply_to": { event_id: target.eventId } } }
                : {};
        return {
            msgtype: number % 5 === 4 ? "m.notice" : "m.text",
            body,
            format: "org.matrix.custom.html",
            formatted_body: `<em>${body}</em>`,
            ...reply,
        };
    }

    private ciphertext(by: Account, number: number): JsonObject {
        const { chance } = this.site;
        const label = `${this.room.index}/${number}`;
        return {
            algorithm: "m.megolm.v1.aes-sha2",
            ciphertext: unpaddedBase64(chance.stream(`megolm/${label}`, 120 + (number % 7) * 40)),
            device_id: by.devices[0]?.deviceId,
            sender_key: unpaddedBase64(chance.bytes(`curve25519/identity/${by.userId}`, 32)),
            session_id: unpaddedBase64(chance.bytes(`session/${this.room.index}/${by.userId}`, 32)),
        };
    }

    private async sendMedia(by: Account, number: number): Promise<void> {
        const file = this.media[number % this.media.length];
        if (file === undefined) throw new Error("there are no media");
        await this.send(by, "m.room.message", {
            msgtype: file.type.startsWith("image/") ? "m.image" : "m.file",
            body: `file ${number}`,
            url: file.mxc,
            info: { mimetype: file.type, size: file.sizeBytes },
        });
    }

    private async edit(by: Account, target: Said, number: number): Promise<void> {
        const content = {
            msgtype: "m.text",
            body: `edited ${number}: ${trickyTexts[number % trickyTexts.length] ?? ""}`,
        };
        await this.send(by, "m.room.message", {
            ...content,
            body: `* ${content.body}`,
            "m.new_content": content,
            "m.relates_to": { rel_type: "m.replace", event_id: target.eventId },
        });
    }

    private async react(by: Account, target: Said): Promise<void> {
        await this.send(by, "m.reaction", {
            "m.relates_to": { rel_type: "m.annotation", event_id: target.eventId, key: "👍🏽" },
        });
    }

    private async redact(by: Account, target: Said): Promise<void> {
        const transaction = `redaction ${target.eventId}`;
        const path = matrixPath`/_matrix/client/v3/rooms/${this.room.roomId}/redact/${target.eventId}/${transaction}`;
        const content = { reason: "said\\too much" };
        const { event_id: eventId } = await by.client.put(path, content, sent);
        target.redacted = true;
        this.said.push({ eventId, type: "m.room.redaction", content, by, redacted: false });
    }

    private async send(by: Account, type: string, content: JsonObject): Promise<Said> {
        const transaction = `${this.room.index}/${this.said.length}`;
        const path = matrixPath`/_matrix/client/v3/rooms/${this.room.roomId}/send/${type}/${transaction}`;
        const { event_id: eventId } = await by.client.put(path, content, sent);
        const said = { eventId, type, content, by, redacted: false };
        this.said.push(said);
        return said;
    }

    /** An earlier message of the member that still stands. */
    private messageOf(by: Account, number: number): Said | undefined {
        const messages = this.said.filter(
            (said) =>
                said.by === by && said.type === "m.room.message" && !said.redacted && !("m.relates_to" in said.content),
        );
        return messages.length === 0
            ? undefined
            : this.site.chance.pick(`target/${this.room.index}/${number}`, messages);
    }
}
