package mfa.client;

import java.io.IOException;
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpRequest.BodyPublishers;
import java.net.http.HttpResponse.BodyHandlers;
import java.security.SecureRandom;
import java.time.Duration;
import java.time.Instant;
import java.util.Base64;
import java.util.HashMap;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.function.Function;

/** Calls InternalMfaService by JSON, and logs users in; needs Java 17 and nothing else. Threads may share one. */
public final class MfaClient {
  private static final Map<String, String> CODES =
      Map.of("TOTP", "totpCode", "SMS", "smsCode", "EMAIL", "emailCode", "BACKUP_CODE", "backupCode");
  private final HttpClient http = HttpClient.newBuilder().connectTimeout(Duration.ofSeconds(5)).build();
  private final URI base;
  private final String credential;

  /** `base` is the listener of backends (port 11008); `credential` a service key or a token. */
  public MfaClient(String base, String credential) {
    this.base = URI.create(base);
    this.credential = credential;
  }

  /** One call: request and reply as the JSON of the contract. Throws MfaException for a refusal. */
  @SuppressWarnings("unchecked")
  public Map<String, Object> call(String rpc, Map<String, Object> message) throws MfaException, IOException, InterruptedException {
    HttpRequest request =
        HttpRequest.newBuilder(base.resolve("/mfa.v1.InternalMfaService/" + rpc))
            .timeout(Duration.ofSeconds(10))
            .header("authorization", "Bearer " + credential)
            .header("content-type", "application/json")
            .POST(BodyPublishers.ofString(Json.write(message)))
            .build();
    var response = http.send(request, BodyHandlers.ofString());
    Map<String, Object> body = (Map<String, Object>) Json.parse(response.body());
    if (response.statusCode() != 200) throw new MfaException(body);
    return body;
  }

  /**
   * A log-in by a typed code, from "the password was right" to the claims of the verified assertion; null where nothing
   * is demanded. `code` returns what the user types for a factor (type, displayName, maskedTarget).
   */
  public Map<String, Object> logIn(
      String tenantId, String userId, Map<String, Object> client, AssertionVerifier verifier, Function<Map<String, Object>, String> code)
      throws MfaException, AssertionRejected, IOException, InterruptedException {
    String sessionId = secret();
    String nonce = secret();
    Map<String, Object> about = Map.of("userId", userId, "client", client);
    var found = call("EvaluateMfa", with(about, Map.of("sessionId", sessionId, "firstFactorTime", Instant.now().toString())));
    if ("MFA_DECISION_ALLOW".equals(found.get("decision"))) return null;
    if (!"MFA_DECISION_CHALLENGE".equals(found.get("decision"))) throw new MfaException(Map.of("code", found.get("decision")));
    Map<String, Object> terms = new HashMap<>(Map.of("purpose", "CHALLENGE_PURPOSE_LOG_IN", "sessionId", sessionId, "nonce", nonce));
    // What was judged is what has to be proved, by the factors that were offered for it and no others.
    Set<Object> kinds = new HashSet<>();
    for (Object factor : (List<?>) found.get("factors")) kinds.add(((Map<?, ?>) factor).get("type"));
    terms.put("allowedFactorTypes", List.copyOf(kinds));
    if (found.containsKey("strength")) terms.put("strength", found.get("strength"));
    Object decision = found.get("decisionId");
    var challenge = object(call("CreateUserChallenge", with(about, Map.of("decisionId", decision, "terms", terms))), "challenge");
    Map<String, Object> asked = with(about, Map.of("challengeId", challenge.get("challengeId")));
    while ("CHALLENGE_STATE_PENDING".equals(challenge.get("state"))) challenge = prove(asked, challenge, code);
    var redeemed = call("RedeemChallenge", with(asked, Map.of("sessionId", sessionId, "nonce", nonce)));
    Expectation expected = new Expectation(tenantId, userId, sessionId).nonce(nonce).acr("aal1").purpose("log_in");
    return verifier.verify((String) object(redeemed, "assertion").get("token"), expected);
  }

  @SuppressWarnings("unchecked")
  private Map<String, Object> prove(Map<String, Object> asked, Map<String, Object> challenge, Function<Map<String, Object>, String> code)
      throws MfaException, IOException, InterruptedException {
    for (Object one : (List<?>) challenge.get("factors")) {
      Map<String, Object> factor = (Map<String, Object>) one;
      String kind = CODES.get(((String) factor.get("type")).substring("FACTOR_TYPE_".length()));
      if (kind == null) continue;
      call("ResendUserChallenge", with(asked, Map.of("factorType", factor.get("type"))));
      return object(call("VerifyUserChallenge", with(asked, Map.of("proof", Map.of(kind, code.apply(factor))))), "challenge");
    }
    throw new MfaException(Map.of("code", "NO_FACTOR_OFFERED"));
  }

  @SuppressWarnings("unchecked")
  private static Map<String, Object> object(Map<String, Object> from, String name) {
    return (Map<String, Object>) from.get(name);
  }

  private static Map<String, Object> with(Map<String, Object> some, Map<String, Object> more) {
    Map<String, Object> all = new HashMap<>(some);
    all.putAll(more);
    return all;
  }

  private static String secret() {
    byte[] bytes = new byte[16];
    new SecureRandom().nextBytes(bytes);
    return Base64.getUrlEncoder().withoutPadding().encodeToString(bytes);
  }
}
