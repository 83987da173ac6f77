package mfa.client;

import java.math.BigInteger;
import java.nio.charset.StandardCharsets;
import java.security.AlgorithmParameters;
import java.security.GeneralSecurityException;
import java.security.KeyFactory;
import java.security.MessageDigest;
import java.security.PublicKey;
import java.security.Signature;
import java.security.spec.ECFieldFp;
import java.security.spec.ECGenParameterSpec;
import java.security.spec.ECParameterSpec;
import java.security.spec.ECPoint;
import java.security.spec.ECPublicKeySpec;
import java.security.spec.X509EncodedKeySpec;
import java.util.Base64;
import java.util.HashMap;
import java.util.HexFormat;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.Set;
import java.util.TreeMap;
import java.util.function.Function;
import java.util.function.LongSupplier;

/** Verifies assertions against the request that they came with; needs Java 17 and nothing else. */
public final class AssertionVerifier {
  /** Notes an id until a time in seconds, and returns true; false when it was noted before. One store for all instances. */
  public interface Once {
    boolean note(String assertionId, long until);
  }

  private static final long SKEW = 30;
  private static final List<String> LEVELS = List.of("aal1", "aal2");
  private static final Set<String> PURPOSES = Set.of("log_in", "step_up");
  private static final String ED25519 = "302a300506032b6570032100";

  private final String issuer;
  private final String audience;
  private final Function<String, Map<String, Object>> key;
  private final Once once;
  private final LongSupplier clock;

  /** `key` returns the JWK of an id, or null; `clock` the time in seconds. */
  public AssertionVerifier(
      String issuer, String audience, Function<String, Map<String, Object>> key, Once once, LongSupplier clock) {
    this.issuer = issuer;
    this.audience = audience;
    this.key = key;
    this.once = once;
    this.clock = clock;
  }

  /** With the machine's clock. */
  public AssertionVerifier(String issuer, String audience, Function<String, Map<String, Object>> key, Once once) {
    this(issuer, audience, key, once, () -> System.currentTimeMillis() / 1000);
  }

  /** Notes ids in this process: for development, and for a backend of one process. Others insert each into a table. */
  public static Once onceInMemory() {
    Map<String, Long> used = new HashMap<>();
    return (id, until) -> {
      synchronized (used) {
        used.values().removeIf(end -> end <= System.currentTimeMillis() / 1000);
        return used.putIfAbsent(id, until) == null;
      }
    };
  }

  /** Returns the claims; throws AssertionRejected for whatever does not hold exactly, a second use among it. */
  public Map<String, Object> verify(String token, Expectation expected) throws AssertionRejected {
    must(LEVELS.contains(expected.acr), "a level that does not exist is expected");
    must(expected.purpose == null || PURPOSES.contains(expected.purpose), "a purpose that does not exist is expected");
    must(expected.binding == null || expected.binding.equals("authenticator"), "a binding that does not exist is expected");
    Map<String, Object> claims = open(token);
    checkClaims(claims, expected);
    checkAction(claims, expected);
    checkTimes(claims, expected, clock.getAsLong());
    must(once.note((String) claims.get("jti"), second(claims, "exp") + SKEW), "used before");
    return claims;
  }

  private static void must(boolean holds, String reason) throws AssertionRejected {
    if (!holds) throw new AssertionRejected(reason);
  }

  private Map<String, Object> open(String token) throws AssertionRejected {
    must(token.length() <= 4096 && token.matches("[\\w-]+\\.[\\w-]+\\.[\\w-]+"), "not three parts of base64url");
    String[] parts = token.split("\\.");
    Map<String, Object> header = part(parts[0]);
    must("mfa-assertion+jwt".equals(header.get("typ")), "another type of token");
    must(header.keySet().equals(Set.of("alg", "typ", "kid")), "a header that is not ours");
    must(header.get("kid") instanceof String, "no key id");
    Map<String, Object> jwk = key.apply((String) header.get("kid"));
    must(jwk != null, "an unknown key");
    byte[] signed = (parts[0] + "." + parts[1]).getBytes(StandardCharsets.US_ASCII);
    must(isSigned(jwk, header.get("alg"), signed, decode(parts[2])), "the signature does not verify");
    return part(parts[1]);
  }

  private static byte[] decode(String text) throws AssertionRejected {
    try {
      byte[] bytes = Base64.getUrlDecoder().decode(text);
      must(encode(bytes).equals(text), "in another encoding");
      return bytes;
    } catch (IllegalArgumentException malformed) {
      throw new AssertionRejected("no base64url");
    }
  }

  private static String encode(byte[] bytes) {
    return Base64.getUrlEncoder().withoutPadding().encodeToString(bytes);
  }

  @SuppressWarnings("unchecked")
  private static Map<String, Object> part(String text) throws AssertionRejected {
    try {
      Object value = Json.parse(new String(decode(text), StandardCharsets.UTF_8));
      must(value instanceof Map, "no JSON object");
      return (Map<String, Object>) value;
    } catch (IllegalArgumentException malformed) {
      throw new AssertionRejected("no JSON object");
    }
  }

  /** What the key is for decides the algorithm, never the token. */
  private static boolean isSigned(Map<String, Object> jwk, Object algorithm, byte[] data, byte[] signature)
      throws AssertionRejected {
    boolean isEd = "OKP".equals(jwk.get("kty")) && "Ed25519".equals(jwk.get("crv"));
    boolean isEc = "EC".equals(jwk.get("kty")) && "P-256".equals(jwk.get("crv"));
    String own = isEd ? "EdDSA" : isEc ? "ES256" : "";
    boolean isFor = "sig".equals(jwk.getOrDefault("use", "sig")) && own.equals(jwk.getOrDefault("alg", own));
    must(isFor && own.equals(algorithm) && !jwk.containsKey("d"), "another algorithm than the key's");
    try {
      Signature judge = Signature.getInstance(isEd ? "Ed25519" : "SHA256withECDSAinP1363Format");
      judge.initVerify(isEd ? edKey(jwk) : ecKey(jwk));
      judge.update(data);
      return judge.verify(signature);
    } catch (GeneralSecurityException | RuntimeException malformed) {
      throw new AssertionRejected("the key or the signature is malformed");
    }
  }

  private static PublicKey edKey(Map<String, Object> jwk) throws GeneralSecurityException, AssertionRejected {
    byte[] x = decode((String) jwk.get("x"));
    must(x.length == 32, "the key is malformed");
    String spki = ED25519 + HexFormat.of().formatHex(x);
    return KeyFactory.getInstance("Ed25519").generatePublic(new X509EncodedKeySpec(HexFormat.of().parseHex(spki)));
  }

  private static PublicKey ecKey(Map<String, Object> jwk) throws GeneralSecurityException, AssertionRejected {
    AlgorithmParameters parameters = AlgorithmParameters.getInstance("EC");
    parameters.init(new ECGenParameterSpec("secp256r1"));
    ECParameterSpec curve = parameters.getParameterSpec(ECParameterSpec.class);
    BigInteger x = new BigInteger(1, decode((String) jwk.get("x")));
    BigInteger y = new BigInteger(1, decode((String) jwk.get("y")));
    BigInteger p = ((ECFieldFp) curve.getCurve().getField()).getP();
    BigInteger right = x.pow(3).add(curve.getCurve().getA().multiply(x)).add(curve.getCurve().getB());
    must(x.compareTo(p) < 0 && y.compareTo(p) < 0 && y.pow(2).subtract(right).mod(p).signum() == 0, "no point of the curve");
    return KeyFactory.getInstance("EC").generatePublic(new ECPublicKeySpec(new ECPoint(x, y), curve));
  }

  private static boolean isText(Object value) {
    return value instanceof String && !((String) value).isEmpty();
  }

  private void checkClaims(Map<String, Object> claims, Expectation expected) throws AssertionRejected {
    must(issuer.equals(claims.get("iss")), "of another issuer");
    must(audience.equals(claims.get("aud")), "for another audience");
    must(isText(claims.get("sub")) && claims.get("sub").equals(expected.userId), "for another user");
    must(isText(claims.get("tid")) && claims.get("tid").equals(expected.tenantId), "for another tenant");
    Object session = expected.sessionId.isEmpty() ? null : encode(sha256(expected.sessionId));
    must(Objects.equals(claims.get("sid"), session), "for another session");
    Object nonce = expected.nonce.isEmpty() ? null : expected.nonce;
    must(Objects.equals(claims.get("nonce"), nonce), "for another nonce");
    must(isText(claims.get("jti")) && ((String) claims.get("jti")).matches("[\\w-]{22}"), "no id");
    must(isText(claims.get("acr")) && LEVELS.indexOf(claims.get("acr")) >= LEVELS.indexOf(expected.acr), "of a lower level");
    Object amr = claims.get("amr");
    must(amr instanceof List && !((List<?>) amr).isEmpty(), "of no method");
    must(((List<?>) amr).stream().allMatch(AssertionVerifier::isText), "of no method");
    must(claims.get("pur") instanceof String && PURPOSES.contains(claims.get("pur")), "for no purpose");
    must(expected.purpose == null || expected.purpose.equals(claims.get("pur")), "for another purpose");
    must(claims.get("pol") instanceof Long, "of no policy");
    must(!claims.containsKey("cid") || isText(claims.get("cid")), "of an odd challenge");
  }

  private static void checkAction(Map<String, Object> claims, Expectation expected) throws AssertionRejected {
    if (expected.actionType == null) {
      boolean hasNone = !claims.containsKey("act") && !claims.containsKey("bnd") && expected.binding == null;
      must(hasNone, "for an action, not for none");
      return;
    }
    must(claims.get("act") instanceof Map, "for no action");
    Map<?, ?> act = (Map<?, ?>) claims.get("act");
    must(expected.actionType.equals(act.get("type")), "for another type of action");
    String digest = encode(sha256(canonical(expected.actionType, expected.actionParameters)));
    must(digest.equals(act.get("digest")), "for another action");
    Object bound = claims.get("bnd");
    boolean isBound = "authenticator".equals(bound) || ("server".equals(bound) && expected.binding == null);
    must(isBound, "not bound by the authenticator");
  }

  /** RFC 8785: names in the order of their UTF-16 code units, which is that of Java's strings. */
  static String canonical(String type, Map<String, String> parameters) {
    return Json.write(new TreeMap<>(Map.of("parameters", new TreeMap<>(parameters), "type", type)));
  }

  private static long second(Map<String, Object> claims, String name) throws AssertionRejected {
    must(claims.get(name) instanceof Long && (Long) claims.get(name) > 0, "a time is missing");
    return (Long) claims.get(name);
  }

  private static void checkTimes(Map<String, Object> claims, Expectation expected, long now) throws AssertionRejected {
    long iat = second(claims, "iat");
    long nbf = second(claims, "nbf");
    long exp = second(claims, "exp");
    long authTime = second(claims, "auth_time");
    must(exp > iat && exp > nbf, "it ends before it begins");
    must(exp > now - SKEW, "expired");
    must(nbf <= now + SKEW && iat <= now + SKEW && authTime <= iat + SKEW, "from the future");
    must(exp - iat <= (claims.containsKey("act") ? 60 : 120), "it lives too long");
    must(expected.maxAgeSeconds == null || authTime >= now - expected.maxAgeSeconds, "proved too long ago");
  }

  private static byte[] sha256(String text) {
    try {
      return MessageDigest.getInstance("SHA-256").digest(text.getBytes(StandardCharsets.UTF_8));
    } catch (GeneralSecurityException missing) {
      throw new IllegalStateException(missing); // every Java has it
    }
  }
}
