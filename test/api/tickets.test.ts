import { status } from "@grpc/grpc-js";
import { describe, expect, test } from "vitest";
import { Refusal } from "../../src/core/refusal.ts";
import { tickets } from "../../src/enrollment-tickets/tickets.table.ts";
import { adminOf } from "../support/actors/administrators.ts";
import { showCode } from "../support/actors/authenticator-app.ts";
import { failure, tally } from "../support/actors/grpc-client.ts";
import { ticketOffice } from "../support/actors/ticket-office.ts";
import { engines } from "../support/engine/engines.ts";
import { rowsIn } from "../support/engine/rows.ts";
import { serviceForTest } from "../support/worlds/service.ts";

const MINUTE = 60_000;

describe.each(engines)("a ticket on $name", (engine) => {
  const start = async () => {
    const service = await serviceForTest(engine);
    const { issue, holder } = await ticketOffice(service);
    type Headers = Record<string, string>;
    const begin = (headers: Headers) => service.mfa.startTotpEnrollment({}, undefined, headers);
    const finish = async (secret: string, headers: Headers) =>
      service.mfa.finishTotpEnrollment({ code: await showCode(secret, service.clock.now) }, undefined, headers);
    const enroll = async (headers: Headers) => finish((await begin(headers)).provisioning?.secret ?? "", headers);
    return { service, issue, holder, begin, finish, enroll };
  };

  test("lets its holder enroll a first factor, for the user it was given to", async () => {
    const { service, holder, enroll } = await start();
    const { device } = await enroll(await holder("ann"));
    const { devices } = await service.mfa.listTotpDevices({}, await service.user("ann", "aal2"));
    expect(devices.map(({ deviceId }) => deviceId)).toEqual([device?.deviceId]);
    const elsewhere = await service.mint({ audience: "mfa", subject: "ann", acr: "aal2", tenant: "other" });
    expect((await service.mfa.listTotpDevices({}, elsewhere)).devices).toEqual([]);
  });

  test("lets its holder do nothing else", async () => {
    const { service, holder } = await start();
    const headers = await holder("ann");
    const calls = [
      service.mfa.listTotpDevices({}, undefined, headers),
      service.mfa.verifyTotpCode({ code: "123456" }, undefined, headers),
      service.admin.getTenantSettings({}, undefined, headers),
      service.internal.verifyUserTotpCode({ userId: "ann", code: "123456" }, undefined, headers),
    ];
    expect(await tally(calls)).toEqual({ ACCESS_DENIED: calls.length });
  });

  test("ends with the enrollment, and so do the user's others, but not other users'", async () => {
    const { service, holder, begin, enroll } = await start();
    const [first, second, bobs, abroad] = [
      await holder("ann"),
      await holder("ann"),
      await holder("bob"),
      await holder("ann", "other"),
    ];
    await enroll(first);
    service.pass(30_000);
    for (const headers of [first, second]) {
      expect(await failure(begin(headers))).toMatchObject({
        code: status.FAILED_PRECONDITION,
        reason: "CHALLENGE_EXPIRED",
      });
    }
    await enroll(bobs);
    await enroll(abroad);
  });

  test("ends with an enrollment by a token too, and does not come back when the factor goes", async () => {
    const { service, holder, begin } = await start();
    const headers = await holder("ann");
    const token = await service.user("ann");
    const { provisioning } = await service.mfa.startTotpEnrollment({}, token);
    await service.mfa.finishTotpEnrollment(
      { code: await showCode(provisioning?.secret ?? "", service.clock.now) },
      token,
    );
    expect((await failure(begin(headers))).reason).toBe("CHALLENGE_EXPIRED");
    await service.execute("DELETE FROM totp_devices");
    expect((await failure(begin(headers))).reason).toBe("CHALLENGE_EXPIRED");
  });

  test("is good for nothing while the user has a factor, whatever became of the ticket", async () => {
    const { service, holder, begin, enroll } = await start();
    await enroll(await holder("ann"));
    expect((await failure(begin(await holder("ann")))).reason).toBe("CHALLENGE_EXPIRED");
    expect((await service.mfa.listTotpDevices({}, await service.user("ann", "aal2"))).devices).toHaveLength(1);
  });

  test("lasts ten minutes", async () => {
    const { service, holder, begin, finish } = await start();
    const headers = await holder("ann");
    const { provisioning } = await begin(headers);
    service.pass(10 * MINUTE - 1);
    expect((await begin(headers)).device?.deviceId).toBeTruthy();
    service.pass(1);
    expect((await failure(begin(headers))).reason).toBe("CHALLENGE_EXPIRED");
    expect((await failure(finish(provisioning?.secret ?? "", headers))).reason).toBe("CHALLENGE_EXPIRED");
  });

  test("is given for a first factor of the last five minutes only", async () => {
    const { service, issue } = await start();
    const ago = (ms: number) => issue("ann", { firstFactorTime: new Date(service.clock.now.getTime() - ms) });
    for (const ms of [0, 5 * MINUTE, -30_000])
      expect(await ago(ms), String(ms)).toMatchObject({ ticket: expect.any(String) });
    for (const ms of [5 * MINUTE + 1, -30_001, Number.NaN]) {
      const refused = await ago(ms);
      expect(refused instanceof Refusal && refused.reason, String(ms)).toBe("INSUFFICIENT_USER_AUTHENTICATION");
    }
  });

  test("that nobody gave out, that is altered, or shown in another way is no credential", async () => {
    const { holder, begin } = await start();
    const { authorization } = await holder("ann");
    const ticket = authorization.slice("Ticket ".length);
    expect(ticket).toMatch(/^[\w-]{22}$/);
    const altered = (ticket.startsWith("A") ? "B" : "A") + ticket.slice(1);
    for (const header of [
      `Ticket ${altered}`,
      `Ticket ${ticket}A`,
      `Ticket ${ticket.slice(1)}`,
      `Ticket ${ticket} x`,
      `Bearer ${ticket}`,
      `Device ${ticket}`,
      "Ticket",
      ticket,
    ]) {
      const refused = await failure(begin({ authorization: header }));
      expect(refused, header).toMatchObject({ code: status.UNAUTHENTICATED, reason: "INVALID_CREDENTIAL" });
    }
    // RFC 9110 §11.4: the scheme in any case, one or more spaces.
    await begin({ authorization: `ticket  ${ticket}` });
  });

  test("of many that enroll at once one wins, and one device is there", async () => {
    const { service, holder, begin, finish } = await start();
    const holders = await Promise.all(Array.from({ length: 30 }, () => holder("ann")));
    const { provisioning } = await begin(await holder("ann"));
    const counts = await tally(holders.map((headers) => finish(provisioning?.secret ?? "", headers)));
    expect(counts.OK).toBe(1);
    const { devices } = await service.mfa.listTotpDevices({}, await service.user("ann", "aal2"));
    expect(devices).toHaveLength(1);
    const after = await tally(holders.map((headers) => begin(headers)));
    expect(after).toEqual({ CHALLENGE_EXPIRED: holders.length });
  });

  test("cannot begin a second device beside the first: what began before it ended is refused in its unit", async () => {
    const { service, holder, begin, finish } = await start();
    const holders = await Promise.all(Array.from({ length: 20 }, () => holder("ann")));
    const { provisioning } = await begin(await holder("ann"));
    const own = await holder("ann");
    await tally([finish(provisioning?.secret ?? "", own), ...holders.map((headers) => begin(headers))]);
    // Either it was first, or another put a pending device in the place of its own.
    const { devices } = await service.mfa.listTotpDevices({}, await service.user("ann", "aal2"));
    expect(devices).toHaveLength(1);
  });

  test("is in no table and no log line, and the log does not name its user", async () => {
    const { service, holder, begin } = await start();
    const { authorization } = await holder("somebody-rare");
    await begin({ authorization });
    const secret = authorization.slice("Ticket ".length);
    const lines = service.log.filter((line) => line.includes('"principal":"TICKET"'));
    expect(lines).toHaveLength(1);
    expect(lines.join()).not.toContain("somebody-rare");
    expect(service.log.join()).not.toContain(secret);
    const rows = await rowsIn(service.store, tickets);
    expect(rows).toHaveLength(1);
    expect(JSON.stringify(rows.map((row) => ({ ...row, digest: row.digest.toString("latin1") })))).not.toContain(
      secret,
    );
  });

  test("leaves no rows behind: a new one clears the user's expired ones", async () => {
    const { service, holder } = await start();
    for (let n = 0; n < 5; n += 1) {
      await holder("ann");
      service.pass(10 * MINUTE);
    }
    await holder("ann");
    expect(await rowsIn(service.store, tickets)).toHaveLength(1);
  });

  test("ends with a reset of its user", async () => {
    const { service, holder, begin } = await start();
    const [anns, bobs] = [await holder("ann"), await holder("bob")];
    await service.admin.resetUserMfa({ userId: "ann", reason: "called in" }, await adminOf(service, "mfa.reset"));
    expect((await failure(begin(anns))).reason).toBe("CHALLENGE_EXPIRED");
    await begin(bobs);
  });
});
