/** Which pages may call a listener of browsers. */
export interface AllowedOrigins {
  /** The exact origins: "https://app.example". */
  readonly listed: readonly string[];
  /** Whether pages of this machine may call, on any port: for front ends under development. */
  readonly loopback: boolean;
}

const LOOPBACK = /^(localhost|[\w-]+(\.[\w-]+)*\.localhost|127(\.\d{1,3}){3}|\[::1\])$/;

/** Whether an origin is a page of this machine. */
export function isLoopbackOrigin(origin: string): boolean {
  const url = URL.canParse(origin) ? new URL(origin) : undefined;
  return url !== undefined && /^https?:$/.test(url.protocol) && url.origin === origin && LOOPBACK.test(url.hostname);
}

/** Whether the pages of an origin may call. */
export const isAllowedOrigin = (origin: string, { listed, loopback }: AllowedOrigins): boolean =>
  listed.includes(origin) || (loopback && isLoopbackOrigin(origin));
