// The wheel of mfa-service-client, built, unpacked into an empty folder, and used by its README alone.
import { readFileSync, writeFileSync } from "node:fs";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, onTestFinished, test } from "vitest";
import { enrollApp, wrongCode } from "../support/actors/authenticator-app.ts";
import { engines } from "../support/engine/engines.ts";
import { type ServiceUnderTest, serviceForTest } from "../support/worlds/service.ts";
import { root, run, start } from "./process.ts";
import { findPython } from "./python.ts";

const [engine] = engines;
if (!engine) throw new Error("no engine");
const enrolledBefore = { now: new Date(Date.now() - 3600_000) };
const python = await findPython("grpc, google.protobuf, cryptography, setuptools, wheel");
const tools = await run("sh", ["-c", "command -v protoc && command -v grpc_python_plugin"]);
const isHere = python !== undefined && tools.code === 0;
// Not a skip: the absence is what was looked for and found, and the log says what was not tried.
if (!isHere)
  process.stderr.write(
    "\n*** THE PYTHON PACKAGE WAS NEITHER BUILT NOR TRIED. On Debian: apt-get install protobuf-compiler " +
      "protobuf-compiler-grpc python3-grpcio python3-protobuf python3-cryptography python3-setuptools python3-wheel ***\n\n",
  );
const named = (name: string) => (isHere ? name : `NOT EXERCISED, tools are missing: ${name}`);

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "mfa-wheel-"));
  if (!isHere) return;
  const env = { PYTHON: python };
  const built = await run("npm", ["run", "-s", "python-package", "--", folder], { env, limitMs: 120_000 });
  expect(built.code, built.stderr).toBe(0);
  const wheel = built.stdout.trim().split("\n").at(-1) ?? "";
  const unpacked = await run(python, ["-m", "zipfile", "-e", wheel, join(folder, "site")]);
  expect(unpacked.code, unpacked.stderr).toBe(0);
}, 180_000);
afterAll(() => rm(folder, { recursive: true, force: true }));

const env = async (service: ServiceUnderTest) => ({
  PYTHONPATH: join(folder, "site"),
  PYTHONWARNINGS: "error",
  SERVICE_TOKEN: await service.backend("mfa.challenge mfa.verify"),
  MFA_ADDRESS: `127.0.0.1:${service.port}`,
  MFA_KEYS: `http://127.0.0.1:${service.gatewayPort}/.well-known/jwks.json`,
});

test(named("the log-in in ten lines of the README works as it stands"), async () => {
  if (!isHere) return;
  const readme = readFileSync(join(root, "packages/python/README.md"), "utf8");
  const [, lines = ""] = /^```python\n([\s\S]*?)^```$/m.exec(readme) ?? [];
  expect(lines.trim().split("\n").filter(Boolean).length).toBeLessThanOrEqual(10);
  const service = await serviceForTest(engine, enrolledBefore);
  const app = await enrollApp(service, "ann");
  service.clock.now = new Date();
  const ported = lines.replace("11005", String(service.port)).replace("11006", String(service.gatewayPort));
  writeFileSync(join(folder, "log_in.py"), ported);
  const { stdout, stderr, code } = await run(python, [join(folder, "log_in.py")], {
    env: await env(service),
    input: `${await app.code()}\n`,
  });
  expect(stdout, stderr).toMatch(/logged in: aal2 pwd otp mfa\n$/);
  expect(code).toBe(0);
});

test(named("its verifier judges the vectors of assertions as ours does"), async () => {
  if (!isHere) return;
  const path = join(root, "test/vectors/assertions.json");
  const { stdout, stderr } = await run(python, ["test/interop/python_package.py", path], {
    env: { PYTHONPATH: join(folder, "site") },
  });
  const { vectors } = JSON.parse(readFileSync(path, "utf8"));
  expect(JSON.parse(stdout || "null"), stderr).toEqual({ run: vectors.length, wrong: [] });
});

test(named("a wrong code is asked for again, and too many end in a lock that says how long it lasts"), async () => {
  if (!isHere) return;
  const service = await serviceForTest(engine, enrolledBefore);
  const app = await enrollApp(service, "ann");
  service.clock.now = new Date();
  const backend = start(python, ["test/interop/python_package.py"], await env(service));
  onTestFinished(() => void backend.child.kill());
  let answered = 0;
  const logIn = async (user: string, codes: string[]) => {
    backend.child.stdin?.write(`${JSON.stringify({ user, codes })}\n`);
    const [, ...lines] = (await backend.saw(new RegExp(`^(?:(.*)\\n){${++answered}}`))) as string[];
    return JSON.parse(lines.at(-1) ?? "null");
  };
  const wrong = await wrongCode(app);
  const right = { acr: "aal2", amr: ["pwd", "otp", "mfa"], restricted: false, seen: ["TOTP", "TOTP"] };
  expect(await logIn("ann", [wrong, await app.code()])).toEqual(right);
  expect(await logIn("bob", [])).toEqual({ acr: "aal1", amr: ["pwd"], restricted: false, seen: [] });
  expect(await logIn("ann", [wrong, wrong, wrong])).toMatchObject({ reason: "CODE_REJECTED", locked: false });
  await logIn("ann", [wrong, wrong, wrong]);
  expect(await logIn("ann", [wrong])).toMatchObject({ reason: "LOCKED", locked: true, retryAfter: expect.any(Number) });
});

test(named("the examples for Django and FastAPI compile, and use the package alone"), async () => {
  if (!isHere) return;
  const examples = ["django_views", "fastapi_app"].map((name) => join(root, `packages/python/examples/${name}.py`));
  const check = "import ast, sys; [compile(open(path).read(), path, 'exec') for path in sys.argv[1:]]";
  const { code, stderr } = await run(python, ["-c", check, ...examples]);
  expect(code, stderr).toBe(0);
  for (const path of examples) expect(readFileSync(path, "utf8")).toContain("from mfa_service_client import");
});
