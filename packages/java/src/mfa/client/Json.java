package mfa.client;

import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

/** As much of JSON as calls and assertions are made of: objects are maps, lists are lists, whole numbers are longs. */
final class Json {
  private final String text;
  private int at;

  private Json(String text) {
    this.text = text;
  }

  /** Reads one value; throws IllegalArgumentException for what is no JSON. */
  static Object parse(String text) {
    Json json = new Json(text);
    Object value = json.value();
    json.space();
    if (json.at != text.length()) throw json.wrong();
    return value;
  }

  private IllegalArgumentException wrong() {
    return new IllegalArgumentException("no JSON at " + at);
  }

  private void space() {
    while (at < text.length() && " \t\r\n".indexOf(text.charAt(at)) >= 0) at++;
  }

  private boolean takes(String next) {
    space();
    if (!text.startsWith(next, at)) return false;
    at += next.length();
    return true;
  }

  private Object value() {
    if (takes("{")) return object();
    if (takes("[")) return list();
    if (takes("\"")) return string();
    if (takes("true")) return Boolean.TRUE;
    if (takes("false")) return Boolean.FALSE;
    if (takes("null")) return null;
    return number();
  }

  private Map<String, Object> object() {
    Map<String, Object> members = new LinkedHashMap<>();
    if (takes("}")) return members;
    do {
      if (!takes("\"")) throw wrong();
      String name = string();
      if (!takes(":")) throw wrong();
      members.put(name, value());
    } while (takes(","));
    if (!takes("}")) throw wrong();
    return members;
  }

  private List<Object> list() {
    List<Object> items = new ArrayList<>();
    if (takes("]")) return items;
    do items.add(value());
    while (takes(","));
    if (!takes("]")) throw wrong();
    return items;
  }

  private String string() {
    StringBuilder out = new StringBuilder();
    while (at < text.length()) {
      char c = text.charAt(at++);
      if (c == '"') return out.toString();
      if (c < ' ') throw wrong();
      out.append(c == '\\' ? escaped() : c);
    }
    throw wrong();
  }

  private char escaped() {
    if (at >= text.length()) throw wrong();
    char c = text.charAt(at++);
    int known = "\"\\/bfnrt".indexOf(c);
    if (known >= 0) return "\"\\/\b\f\n\r\t".charAt(known);
    if (c != 'u' || at + 4 > text.length()) throw wrong();
    at += 4;
    return (char) Integer.parseInt(text.substring(at - 4, at), 16);
  }

  private Number number() {
    int from = at;
    while (at < text.length() && "+-.eE0123456789".indexOf(text.charAt(at)) >= 0) at++;
    String digits = text.substring(from, at);
    if (!digits.matches("-?(0|[1-9]\\d*)(\\.\\d+)?([eE][+-]?\\d+)?")) throw wrong();
    return digits.matches("-?\\d{1,18}") ? (Number) Long.valueOf(digits) : (Number) Double.valueOf(digits);
  }

  /** Writes maps, lists, texts, numbers and truth values without white space, texts as ECMAScript does. */
  static String write(Object value) {
    if (value instanceof String) return quoted((String) value);
    if (value instanceof List) {
      List<String> items = new ArrayList<>();
      for (Object item : (List<?>) value) items.add(write(item));
      return "[" + String.join(",", items) + "]";
    }
    if (value instanceof Map) {
      List<String> members = new ArrayList<>();
      for (Map.Entry<?, ?> entry : ((Map<?, ?>) value).entrySet())
        members.add(quoted((String) entry.getKey()) + ":" + write(entry.getValue()));
      return "{" + String.join(",", members) + "}";
    }
    return String.valueOf(value);
  }

  private static String quoted(String text) {
    StringBuilder out = new StringBuilder("\"");
    for (int i = 0; i < text.length(); i++) {
      char c = text.charAt(i);
      int known = "\"\\\b\f\n\r\t".indexOf(c);
      boolean isPair = Character.isHighSurrogate(c) && i + 1 < text.length() && Character.isLowSurrogate(text.charAt(i + 1));
      if (known >= 0) out.append('\\').append("\"\\bfnrt".charAt(known));
      else if (isPair) out.append(c).append(text.charAt(++i));
      else if (c < ' ' || Character.isSurrogate(c)) out.append(String.format("\\u%04x", (int) c));
      else out.append(c);
    }
    return out.append('"').toString();
  }
}
