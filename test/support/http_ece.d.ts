// What the tests use of http_ece, which ships no types.
declare module "http_ece" {
  import type { ECDH } from "node:crypto";
  /** Decrypts what was encrypted for the holder of a key, as RFC 8188 and RFC 8291 say. */
  export function decrypt(
    encrypted: Buffer,
    options: { version: "aes128gcm"; privateKey: ECDH; authSecret: string },
  ): Buffer;
}
