import { randomBytes } from "node:crypto";
import { connect, createServer, type Socket } from "node:net";
import { inject } from "vitest";
import { openPostgres } from "../../../src/db/postgres.ts";
import type { EngineUnderTest } from "../engine/engines.ts";
import { portOf } from "../engine/port.ts";
import { databaseUrl, execute } from "../engine/postgres.ts";

/** Finds the statements in what a client of PostgreSQL sends: messages of its protocol that have something run. */
function statementReader(onStatement: (text: string) => void) {
  let rest = Buffer.alloc(0);
  let isStarted = false;
  return (chunk: Buffer) => {
    rest = Buffer.concat([rest, chunk]);
    for (;;) {
      // The first message has no type.
      const head = isStarted ? 1 : 0;
      if (rest.length < head + 4) return;
      const end = head + rest.readInt32BE(head);
      if (rest.length < end) return;
      const type = isStarted ? String.fromCharCode(rest[0] ?? 0) : "";
      if (type === "Q" || type === "E") onStatement(rest.toString("latin1", head + 4, end));
      isStarted = true;
      rest = rest.subarray(end);
    }
  };
}

/** Passes on what one end sends, a while later and in order. */
const later = (from: Socket, to: Socket, delayMs: number) => {
  from.on("data", (chunk) => void setTimeout(() => to.write(chunk), delayMs));
  from.on("close", () => void setTimeout(() => to.destroy(), delayMs));
  from.on("error", () => {});
};

/** PostgreSQL so far away, each way, and how many statements the longest unit had that was sent to it. */
export function farPostgres(delayMs: number) {
  const sent = { longestUnit: 0 };
  const engine: EngineUnderTest = {
    name: "postgres",
    async open() {
      const server = inject("postgres");
      const name = `mfa_${randomBytes(6).toString("hex")}`;
      await execute(server.url, `CREATE DATABASE ${name} TEMPLATE ${server.template}`);
      const near = new URL(databaseUrl(server.url, name));
      const proxy = createServer((client) => {
        const behind = connect(Number(near.port), near.hostname);
        let unit = 0;
        const read = statementReader((text) => {
          unit = text.startsWith("BEGIN") ? 1 : unit + 1;
          if (/^(COMMIT|ROLLBACK)/.test(text)) sent.longestUnit = Math.max(sent.longestUnit, unit);
        });
        client.on("data", read);
        later(client, behind, delayMs);
        later(behind, client, delayMs);
      });
      const url = new URL(near);
      url.hostname = "127.0.0.1";
      url.port = String(await portOf(proxy));
      const store = await openPostgres({ url: url.href, connectTimeoutMs: 60_000 });
      return {
        store,
        url: url.href,
        execute: (...statements) => execute(near.href, ...statements),
        remove: async () => {
          await store.close();
          await execute(server.url, `DROP DATABASE ${name} WITH (FORCE)`);
        },
      };
    },
    reopen: ({ url }) => openPostgres({ url }),
  };
  return { engine, sent };
}
