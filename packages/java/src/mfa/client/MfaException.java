package mfa.client;

import java.util.List;
import java.util.Map;

/** A call that was refused. Branch on `reason`, never on the message. */
public final class MfaException extends Exception {
  private static final long serialVersionUID = 1L;

  /** A reason of the contract, such as CODE_REJECTED; the code of the call where the service gave none. */
  public final String reason;

  /** Seconds to wait before trying again; 0 where the service did not say. */
  public final double retryAfter;

  MfaException(Map<String, Object> body) {
    super(String.valueOf(body.get("message")));
    String found = String.valueOf(body.get("code"));
    double wait = 0;
    for (Object detail : (List<?>) body.getOrDefault("details", List.of())) {
      Object debug = ((Map<?, ?>) detail).get("debug");
      if (!(debug instanceof Map)) continue;
      Object given = ((Map<?, ?>) debug).get("reason");
      if (given instanceof String) found = (String) given;
      Object delay = ((Map<?, ?>) debug).get("retryDelay");
      if (delay instanceof String) wait = Double.parseDouble(((String) delay).replace("s", ""));
    }
    reason = found;
    retryAfter = wait;
  }
}
