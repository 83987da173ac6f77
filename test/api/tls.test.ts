import { createHash } from "node:crypto";
import { once } from "node:events";
import { connect } from "node:http2";
import type { TLSSocket } from "node:tls";
import { create, type DescMethod, toBinary } from "@bufbuild/protobuf";
import { Client, credentials, Metadata, type ServiceError, status } from "@grpc/grpc-js";
import { describe, expect, onTestFinished, test, vi } from "vitest";
import { EventType } from "../../gen/mfa/v1/event_pb.js";
import { InternalMfaService } from "../../gen/mfa/v1/internal_mfa_service_pb.js";
import { MfaService } from "../../gen/mfa/v1/mfa_service_pb.js";
import { loadConfig } from "../../src/config/config.ts";
import { enrollApp } from "../support/actors/authenticator-app.ts";
import { CallFailed } from "../support/actors/grpc-client.ts";
import { engines } from "../support/engine/engines.ts";
import { authority, selfSigned } from "../support/fakes/certificates.ts";
import { beside, files, pair, settingsOf } from "../support/worlds/listeners.ts";
import { serviceForTest } from "../support/worlds/service.ts";

const [sqlite] = engines as [(typeof engines)[number]];

/** A connection of its own: the certificate it was shown, and whether it still works. */
async function connection(port: number) {
  const session = connect(`https://127.0.0.1:${port}`, { rejectUnauthorized: false });
  session.on("error", () => {});
  onTestFinished(() => session.destroy());
  await once(session, "connect");
  return {
    shown: (session.socket as TLSSocket).getPeerX509Certificate()?.fingerprint256.replaceAll(":", "").toLowerCase(),
    async metrics() {
      const stream = session.request({ ":path": "/metrics" });
      return Buffer.concat(await stream.toArray()).toString();
    },
    async works() {
      const stream = session.request({ ":method": "OPTIONS", ":path": "/" }).end();
      const [{ ":status": code }] = await once(stream, "response");
      stream.close();
      return code !== undefined;
    },
  };
}

/** The SHA-256 of a PEM certificate's bytes. */
const fingerprint = (pem: Buffer) => {
  const [, body = ""] = /-----BEGIN CERTIFICATE-----([^-]+)/.exec(pem.toString()) ?? [];
  return createHash("sha256").update(Buffer.from(body, "base64")).digest("hex");
};

const soon = { timeout: 10_000, interval: 100 };

async function startWithTls(kind: string) {
  const first = selfSigned();
  const { replace, path } = files(pair(first));
  const tls = { certFile: path("tls.crt"), keyFile: path("tls.key") };
  return { first, replace, ...(await beside(await serviceForTest(sqlite), { kind, tls })) };
}

test("a certificate stays when the new files are broken, which is said once, and goes when they are mended", async () => {
  const { first, replace, port, log } = await startWithTls("grpc");
  const second = selfSigned();
  const complaints = () => log.filter((line) => line.includes("changed TLS files cannot be used"));
  for (const [n, cert] of ["not PEM", second.cert].entries()) {
    replace({ "tls.crt": cert }); // the second is one for another key
    await vi.waitFor(() => expect(complaints()).toHaveLength(n + 1), soon);
    expect((await connection(port)).shown).toBe(fingerprint(first.cert));
  }
  await new Promise((resolve) => setTimeout(resolve, 4_500)); // two more looks at the files
  expect(complaints()).toHaveLength(2);
  replace({ "tls.key": second.key });
  await vi.waitFor(async () => expect((await connection(port)).shown).toBe(fingerprint(second.cert)), soon);
});

test("a certificate stays while only one of two new files is there, of a key of another type, which is counted", async () => {
  const { first, replace, port, log } = await startWithTls("admin");
  const second = selfSigned("rsa");
  const complaints = () => log.filter((line) => line.includes("changed TLS files cannot be used"));
  replace({ "tls.crt": second.cert });
  await vi.waitFor(() => expect(complaints()).toHaveLength(1), soon);
  expect(complaints()[0]).toContain("the key is not that of the certificate");
  expect((await connection(port)).shown).toBe(fingerprint(first.cert));
  const { metrics } = await connection(port);
  expect(await metrics()).toContain('mfa_tls_unusable_total{listener="admin"} 1');
  replace({ "tls.key": second.key });
  await vi.waitFor(async () => expect((await connection(port)).shown).toBe(fingerprint(second.cert)), soon);
});

test("a start with a key of another type than the certificate's fails in one line", async () => {
  const { path } = files({ "tls.crt": selfSigned("rsa").cert, "tls.key": selfSigned().key });
  const service = await serviceForTest(sqlite);
  const tls = { certFile: path("tls.crt"), keyFile: path("tls.key") };
  const reason = /^listeners\.0\.tls: TLS cannot .*tls\.crt.*: the key is not that of the certificate$/;
  await expect(beside(service, { kind: "grpc", tls })).rejects.toThrow(reason);
});

describe.each(["grpc", "gateway", "admin"])("the certificate of the %s listener", (kind) => {
  test("is renewed for new connections, and the old ones go on", async () => {
    const { first, replace, port } = await startWithTls(kind);
    const old = await connection(port);
    expect(old.shown).toBe(fingerprint(first.cert));
    const second = selfSigned();
    replace(pair(second));
    await vi.waitFor(async () => expect((await connection(port)).shown).toBe(fingerprint(second.cert)), soon);
    expect(await old.works()).toBe(true);
    expect(await (await connection(port)).works()).toBe(true);
  });

  test("is needed for the start, which fails in one line that names the file", async () => {
    const { path } = files(pair(selfSigned()));
    const service = await serviceForTest(sqlite);
    const absent = { certFile: path("absent.crt"), keyFile: path("tls.key") };
    await expect(beside(service, { kind, tls: absent })).rejects.toThrow(
      /^listeners\.0\.tls: TLS cannot .*absent\.crt.*: there is no file .*absent\.crt$/,
    );
  });
});

describe("a listener for backends with certificates", () => {
  const SHOP = "URI:spiffe://example/shop";
  const identities = [
    { san: SHOP, name: "shop", tenant: "dev", scopes: ["mfa.verify"] },
    { san: "DNS:desk.internal", name: "desk", tenant: "dev", scopes: ["mfa.status.read"] },
    { san: "URI:spiffe://example/abroad", name: "abroad", tenant: "other", scopes: ["mfa.verify"] },
  ];

  const start = async () => {
    const service = await serviceForTest(sqlite);
    const app = await enrollApp(service, "ann");
    const ours = authority();
    const server = ours.issue({ usage: "serverAuth" });
    const { replace, path } = files({ ...pair(server), "ca.crt": ours.ca });
    const mtls = { certFile: path("tls.crt"), keyFile: path("tls.key"), caFile: path("ca.crt"), identities };
    const { port, log } = await beside(service, { kind: "grpc", mtls });

    /** A backend with a certificate, or none; its calls fail with the reason, or with the bare code. */
    const peer = (own?: { cert: Buffer; key: Buffer }) => {
      const using = credentials.createSsl(ours.ca, own?.key ?? null, own?.cert ?? null);
      const options = { "grpc.use_local_subchannel_pool": 1, "grpc.ssl_target_name_override": "localhost" };
      const channel = new Client(`127.0.0.1:${port}`, using, options);
      onTestFinished(() => channel.close());
      const call = (method: DescMethod, request: Record<string, unknown>, headers: Record<string, string>) =>
        new Promise<string>((resolve) => {
          const metadata = new Metadata();
          for (const [name, value] of Object.entries(headers)) metadata.set(name, value);
          const body = Buffer.from(toBinary(method.input, create(method.input, request)));
          const same = (bytes: Buffer) => bytes;
          const path = `/${method.parent.typeName}/${method.name}`;
          const end = (error: ServiceError | null) => {
            if (!error) return resolve("OK");
            const { reason, code } = new CallFailed(error);
            resolve(reason || (status[code] ?? ""));
          };
          channel.makeUnaryRequest(path, same, same, body, metadata, end);
        });
      return {
        verify: async (headers: Record<string, string> = {}) =>
          call(InternalMfaService.method.verifyUserTotpCode, { userId: "ann", code: await app.code() }, headers),
        list: (headers: Record<string, string> = {}) => call(MfaService.method.listTotpDevices, {}, headers),
        guess: (client: object, headers: Record<string, string>) =>
          call(MfaService.method.verifyTotpCode, { code: "000000", client }, headers),
      };
    };
    const bearer = (token: string) => ({ authorization: `Bearer ${token}` });
    /** The app's code is still unspent: no handler has had it. */
    const unspent = () => peer(ours.issue({ san: SHOP })).verify();
    return { service, app, ours, peer, bearer, unspent, replace, log };
  };

  test("knows each by the name in its certificate, with its tenant and scopes", async () => {
    const { ours, peer, unspent, log } = await start();
    expect(await peer(ours.issue({ san: "DNS:desk.internal" })).verify()).toBe("ACCESS_DENIED");
    // Of another tenant: there is no such user there.
    expect(await peer(ours.issue({ san: "URI:spiffe://example/abroad" })).verify()).toBe("CODE_REJECTED");
    expect(await peer(ours.issue({ san: `${SHOP},DNS:shop.internal` })).verify()).toBe("OK");
    expect(await unspent()).toBe("CODE_REJECTED");
    const calls = log.map((line) => JSON.parse(line)).filter(({ msg, code }) => msg === "call" && code === "OK");
    expect(calls).toMatchObject([{ principal: "SERVICE", caller: "shop", tenant: "dev" }]);
  });

  test("says where its user is beside the user's token, if it is of the user's tenant", async () => {
    const { service, ours, peer, bearer } = await start();
    const user = await service.user("ann", "aal2");
    for (const [san, ip] of [
      [SHOP, "192.0.2.1"],
      ["URI:spiffe://example/abroad", "192.0.2.2"],
    ] as const) {
      expect(await peer(ours.issue({ san })).guess({ ip }, bearer(user))).toBe("CODE_REJECTED");
    }
    const filter = { types: [EventType.PROOF_FAILED] };
    const { events } = await service.internal.listEvents({ filter }, await service.backend("mfa.events.read"));
    expect(events.map(({ ip }) => ip)).toEqual(["192.0.2.1", "127.0.0.1"]);
  });

  test("knows nobody by a certificate that is not on its list, whatever else is said", async () => {
    const { service, ours, peer, bearer, unspent } = await start();
    const forwarded = { "x-forwarded-client-cert": `By=${SHOP};${SHOP.replace(":", "=")}` };
    for (const wanted of [
      { san: "URI:spiffe://example/shop2" },
      { san: "URI:spiffe://example/Shop" },
      { san: "DNS:spiffe://example/shop" },
      { san: "email:shop@example.com" },
      { uri: `x:y, ${SHOP}` },
      { uri: `x:y", ${SHOP}, "` },
      { san: `${SHOP},URI:spiffe://example/abroad` }, // two on the list: which one?
    ]) {
      const stranger = peer(ours.issue(wanted));
      expect(await stranger.verify(), JSON.stringify(wanted)).toBe("INVALID_CREDENTIAL");
      expect(await stranger.verify(forwarded)).toBe("INVALID_CREDENTIAL");
      expect(await stranger.verify(bearer(await service.backend("mfa.verify")))).toBe("INVALID_CREDENTIAL");
    }
    expect(await unspent()).toBe("OK");
  });

  test("is closed to other CAs, to no certificate, to an expired one and to a server's", async () => {
    const { service, ours, peer, bearer, unspent } = await start();
    const headers = bearer(await service.backend("mfa.verify"));
    for (const own of [
      undefined,
      authority().issue({ san: SHOP }),
      ours.issue({ san: SHOP, days: -1 }),
      ours.issue({ san: SHOP, usage: "serverAuth" }),
    ]) {
      const stranger = peer(own);
      expect(await stranger.verify()).toBe("UNAVAILABLE");
      expect(await stranger.verify({ ...headers, "x-forwarded-client-cert": `URI=${SHOP}` })).toBe("UNAVAILABLE");
    }
    expect(await unspent()).toBe("OK");
  });

  test("forgets whom a certificate stood for when it expires on an open connection", async () => {
    const { ours, peer, unspent } = await start();
    const shop = peer(ours.issue({ san: SHOP }));
    expect(await shop.list()).toBe("ACCESS_DENIED");
    const later = vi.spyOn(Date, "now").mockReturnValue(Date.now() + 86_400_000);
    expect(await shop.verify().finally(() => later.mockRestore())).toBe("INVALID_CREDENTIAL");
    expect(await unspent()).toBe("OK");
  });

  test("takes a token for its own word, and a bad or empty one not for none", async () => {
    const { service, ours, peer, bearer, unspent } = await start();
    const shop = peer(ours.issue({ san: SHOP }));
    const ann = bearer(await service.user("ann", "aal2"));
    expect(await shop.list(ann)).toBe("OK");
    expect(await shop.list()).toBe("ACCESS_DENIED");
    expect(await shop.verify(ann)).toBe("ACCESS_DENIED");
    for (const authorization of ["", "Bearer", "Bearer ", " ", "Bearer x", "Basic c2hvcDo="]) {
      expect(await shop.verify({ authorization }), authorization).toBe("INVALID_CREDENTIAL");
    }
    expect(await unspent()).toBe("OK");
  });

  test("takes another CA without a restart", async () => {
    const { ours, peer, replace } = await start();
    const theirs = authority();
    replace({ "ca.crt": theirs.ca });
    await vi.waitFor(async () => expect(await peer(theirs.issue({ san: SHOP })).list()).toBe("ACCESS_DENIED"), soon);
    expect(await peer(ours.issue({ san: SHOP })).list()).toBe("UNAVAILABLE");
  });

  test.each([
    ["two ends", { tls: { certFile: "c", keyFile: "k" } }, /listeners\.only\.0.*"mtls" has TLS already/],
    ["a proxy in front", { terminatedBy: "envoy" }, /both "tls" and "terminatedBy"/],
    ["another kind", { kind: "gateway" }, /mtls/],
    ["a name without its kind", { san: "spiffe://example/shop" }, /identities\.0\.san/],
    ["a wildcard", { san: "DNS:*.internal" }, /identities\.0\.san/],
    ["a name with a comma", { san: "URI:x:y,URI:z:z" }, /identities\.0\.san/],
    ["a name twice", { twice: true }, /listed twice/],
  ])("is refused with %s", (_, { san = SHOP, twice, ...listener }: Record<string, unknown>, message) => {
    const one = { san, name: "shop", tenant: "dev", scopes: [] };
    const mtls = { certFile: "c", keyFile: "k", caFile: "a", identities: twice ? [one, one] : [one] };
    const load = () => loadConfig(["--dev"], { MFA_CONFIG: settingsOf({ kind: "grpc", mtls, ...listener }) });
    expect(load).toThrow(message);
  });
});

test("a header is no certificate where clients have none", async () => {
  const service = await serviceForTest(sqlite);
  const channel = new Client(`127.0.0.1:${service.port}`, credentials.createInsecure());
  onTestFinished(() => channel.close());
  const metadata = new Metadata();
  metadata.set("x-forwarded-client-cert", "URI=spiffe://example/shop");
  const same = (bytes: Buffer) => bytes;
  const failed = new Promise((resolve) =>
    channel.makeUnaryRequest(
      "/mfa.v1.InternalMfaService/VerifyUserTotpCode",
      same,
      same,
      Buffer.alloc(0),
      metadata,
      resolve,
    ),
  );
  expect(new CallFailed((await failed) as ServiceError).reason).toBe("INVALID_CREDENTIAL");
});
