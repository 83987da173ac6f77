package mfa.client;

import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;

/** Judges the vectors of assertions, and prints which were judged wrongly. */
public final class Judge {
  @SuppressWarnings("unchecked")
  private static Map<String, Object> object(Object value) {
    return (Map<String, Object>) value;
  }

  private static Expectation expectation(Map<String, Object> of) {
    Expectation made = new Expectation((String) of.get("tenantId"), (String) of.get("userId"), (String) of.get("sessionId"));
    if (of.containsKey("nonce")) made.nonce((String) of.get("nonce"));
    if (of.containsKey("acr")) made.acr((String) of.get("acr"));
    if (of.containsKey("purpose")) made.purpose((String) of.get("purpose"));
    if (of.containsKey("binding")) made.binding((String) of.get("binding"));
    if (of.containsKey("maxAgeSeconds")) made.maxAge((Long) of.get("maxAgeSeconds"));
    if (!of.containsKey("action")) return made;
    Map<String, Object> action = object(of.get("action"));
    Map<String, String> parameters = new java.util.HashMap<>();
    object(action.get("parameters")).forEach((name, value) -> parameters.put(name, (String) value));
    return made.action((String) action.get("type"), parameters);
  }

  public static void main(String[] args) throws Exception {
    Map<String, Object> file = object(Json.parse(Files.readString(Path.of(args[0]))));
    List<Object> wrong = new ArrayList<>();
    for (Object one : (List<?>) file.get("vectors")) {
      Map<String, Object> vector = object(one);
      boolean isNew = !Boolean.TRUE.equals(vector.get("usedBefore"));
      AssertionVerifier verifier =
          new AssertionVerifier(
              (String) file.get("issuer"),
              (String) file.get("audience"),
              id -> {
                for (Object key : (List<?>) object(file.get("jwks")).get("keys"))
                  if (id.equals(object(key).get("kid"))) return object(key);
                return null;
              },
              (id, until) -> isNew,
              () -> (Long) file.get("now"));
      boolean holds = true;
      try {
        verifier.verify((String) vector.get("token"), expectation(object(vector.get("expect"))));
      } catch (AssertionRejected rejected) {
        holds = false;
      }
      if (holds != (Boolean) vector.get("valid")) wrong.add(vector.get("name"));
    }
    System.out.println(Json.write(Map.of("run", (long) ((List<?>) file.get("vectors")).size(), "wrong", wrong)));
  }
}
