import { beforeAll, expect, test } from "vitest";
import { newKeys, parseKeys } from "../../src/crypto/key-format.ts";
import { type Keyring, openKeyring } from "../../src/crypto/keyring.ts";
import { drawRecoveryCode } from "../../src/crypto/recovery-code.ts";
import { createRecoveryCodeHash } from "../../src/crypto/recovery-code-hash.ts";
import { engines, openForTest } from "../support/engine/engines.ts";
import { cheapPool } from "../support/engine/kdf.ts";

const owner = { tenantId: "acme", userId: "ann", setId: "set-1" };
const [sqlite] = engines as [(typeof engines)[number]];
const keys = parseKeys(newKeys());
const kdf = cheapPool();
const ringOf = async (): Promise<Keyring> => openKeyring(keys, (await openForTest(sqlite)).store);
const code = drawRecoveryCode();
let other: typeof code;

beforeAll(() => {
  do other = drawRecoveryCode();
  while (other.canonical === code.canonical);
});

test.each([
  ["another tenant", { ...owner, tenantId: "other" }],
  ["another user", { ...owner, userId: "bob" }],
  ["another set", { ...owner, setId: "set-2" }],
])("a recovery code's hash that was moved to %s is no code there", async (_, moved) => {
  const hash = createRecoveryCodeHash(await ringOf(), kdf, "backup-code/v1");
  const stored = await hash.hash(code, owner);
  expect(await hash.matches(code, stored, owner)).toBe(true);
  expect(await hash.matches(code, stored, moved)).toBe(false);
});

test("a recovery code is of one purpose, and another code, none or no row match nothing", async () => {
  const keyring = await ringOf();
  const hash = createRecoveryCodeHash(keyring, kdf, "backup-code/v1");
  const stored = await hash.hash(code, owner);
  expect(await createRecoveryCodeHash(keyring, kdf, "temporary-pass/v1").matches(code, stored, owner)).toBe(false);
  expect(await hash.matches(other, stored, owner)).toBe(false);
  expect(await hash.matches(undefined, stored, owner)).toBe(false);
  expect(await hash.matches(code, undefined, owner)).toBe(false);
});
