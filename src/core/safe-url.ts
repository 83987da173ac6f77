/**
 * A url that may be asked for what is believed: https, or http on loopback. After the host there is a port or nothing, as
 * `http://localhost:x@evil.test/` names another machine.
 */
export const SAFE_URL = /^(https:\/\/|http:\/\/(localhost|127\.0\.0\.1|\[::1\])(:\d{1,5})?([/?#]|$))/;
