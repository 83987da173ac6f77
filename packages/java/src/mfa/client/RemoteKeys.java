package mfa.client;

import java.io.IOException;
import java.io.UncheckedIOException;
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse.BodyHandlers;
import java.time.Duration;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.function.Function;

/**
 * The keys behind `/.well-known/jwks.json`: kept for ten minutes; an id that is unknown fetches them, at most every ten
 * seconds. Throws UncheckedIOException where they cannot be had: nothing is decided then, and the same assertion may be
 * verified again.
 */
public final class RemoteKeys implements Function<String, Map<String, Object>> {
  private static final long CACHED_NS = Duration.ofMinutes(10).toNanos();
  private static final long PAUSE_NS = Duration.ofSeconds(10).toNanos();
  private final HttpClient http = HttpClient.newBuilder().connectTimeout(Duration.ofSeconds(5)).build();
  private final URI url;
  private Map<String, Map<String, Object>> keys = Map.of();
  private Long loadedAt;

  public RemoteKeys(String url) {
    this.url = URI.create(url);
  }

  @Override
  public synchronized Map<String, Object> apply(String keyId) {
    long age = loadedAt == null ? Long.MAX_VALUE : System.nanoTime() - loadedAt;
    if (age > CACHED_NS || (!keys.containsKey(keyId) && age > PAUSE_NS)) load();
    return keys.get(keyId);
  }

  @SuppressWarnings("unchecked")
  private void load() {
    try {
      var response = http.send(HttpRequest.newBuilder(url).timeout(Duration.ofSeconds(5)).build(), BodyHandlers.ofString());
      if (response.statusCode() != 200) throw new IOException("status " + response.statusCode());
      Map<String, Map<String, Object>> found = new HashMap<>();
      for (Object key : (List<?>) ((Map<?, ?>) Json.parse(response.body())).get("keys"))
        found.put((String) ((Map<?, ?>) key).get("kid"), (Map<String, Object>) key);
      keys = found;
      loadedAt = System.nanoTime();
    } catch (IOException failed) {
      throw new UncheckedIOException(failed);
    } catch (InterruptedException interrupted) {
      Thread.currentThread().interrupt();
      throw new UncheckedIOException(new IOException(interrupted));
    }
  }
}
