package mfa.client;

import java.util.Map;

/** What the request at hand says: the assertion must be for exactly this. */
public final class Expectation {
  final String tenantId;
  final String userId;
  final String sessionId;
  String nonce = "";
  String acr = "aal2";
  String purpose;
  String binding;
  Long maxAgeSeconds;
  String actionType;
  Map<String, String> actionParameters;

  /** `sessionId` is empty where the request has no session. */
  public Expectation(String tenantId, String userId, String sessionId) {
    this.tenantId = tenantId;
    this.userId = userId;
    this.sessionId = sessionId;
  }

  /** The nonce that this backend chose. */
  public Expectation nonce(String value) {
    nonce = value;
    return this;
  }

  /** "aal1" or "aal2", the default. */
  public Expectation acr(String value) {
    acr = value;
    return this;
  }

  /** "log_in" or "step_up"; without it either will do. */
  public Expectation purpose(String value) {
    purpose = value;
    return this;
  }

  /** "authenticator": the action's digest must be inside of what the authenticator signed. */
  public Expectation binding(String value) {
    binding = value;
    return this;
  }

  /** How many seconds ago the factor may have been proved at most. */
  public Expectation maxAge(long seconds) {
    maxAgeSeconds = seconds;
    return this;
  }

  /** The action that will be run, as it will be run. */
  public Expectation action(String type, Map<String, String> parameters) {
    actionType = type;
    actionParameters = parameters;
    return this;
  }
}
