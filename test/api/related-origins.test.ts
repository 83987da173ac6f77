import { request } from "node:http";
import { describe, expect, test } from "vitest";
import { engines } from "../support/engine/engines.ts";
import { serviceForTest, setTenant } from "../support/worlds/service.ts";

/** What the gateway answers to a browser that asks for a host by its name. */
const ask = (port: number, host: string) =>
  new Promise<{ status: number | undefined; type: string | undefined; body: string }>((resolve, reject) => {
    const asked = request({ port, host: "127.0.0.1", path: "/.well-known/webauthn", headers: { host } }, (response) => {
      let body = "";
      response.setEncoding("utf8").on("data", (chunk) => {
        body += chunk;
      });
      response.on("end", () => resolve({ status: response.statusCode, type: response.headers["content-type"], body }));
    });
    asked.on("error", reject).end();
  });

describe.each(engines)("related origins on $name", (engine) => {
  test("are those of the tenants that have the relying party, without apps, a minute old at most", async () => {
    const service = await serviceForTest(engine);
    const { status, type, body } = await ask(service.gatewayPort, "localhost:11006");
    expect({ status, type }).toEqual({ status: 200, type: "application/json" });
    expect(JSON.parse(body)).toEqual({ origins: ["http://localhost:11006"] });
    expect((await ask(service.gatewayPort, "a.example")).status).toBe(404);

    const origins = ["https://a.example", "https://a.example:8443", "android:apk-key-hash:AAAA"];
    await setTenant(service, { webauthn: { rpIds: ["a.example", "b.example"], origins } });
    service.pass(60_000);
    for (const host of ["a.example", "A.example:443", "b.example"]) {
      const answer = await ask(service.gatewayPort, host);
      expect(JSON.parse(answer.body)).toEqual({ origins: ["https://a.example", "https://a.example:8443"] });
    }
    // What the tenant no longer has, the file still has for others.
    expect((await ask(service.gatewayPort, "localhost")).status).toBe(200);
    expect((await ask(service.gatewayPort, "sub.a.example")).status).toBe(404);
  });
});
