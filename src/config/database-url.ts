/** File systems of the kernel: what looks like a file there is none, and nothing lasts. */
const PSEUDO = /^\/(?:proc|sys|dev(?!\/shm\/))(?:\/|$)/;

/** Whether a path is on a file system of the kernel. */
export const isPseudo = (path: string): boolean => PSEUDO.test(path);

/** What is wrong with the address of a database, before anybody opens it. Never quotes a url, which may hold a password. */
export function databaseFaults(url: string): string[] {
  const [, path] = /^sqlite:(?:\/\/)?(.*)$/.exec(url) ?? [];
  if (path !== undefined) return sqliteFaults(path);
  if (!/^postgres(ql)?:\/\//.test(url)) {
    return ['must be "sqlite:<path>" or "postgres://<user>:<password>@<host>/<database>"'];
  }
  if (!URL.canParse(url)) {
    return [
      "this PostgreSQL url cannot be read: write /, @, :, ?, # and % of a password as %2F, %40, %3A, %3F, %23, %25",
    ];
  }
  const { pathname, hash } = new URL(url);
  if (hash !== "") return ["everything behind # is lost: write a # of the password as %23"];
  return pathname.length > 1 ? [] : ["names no database: postgres://<host>/<database>"];
}

function sqliteFaults(path: string): string[] {
  if (path === "") return ["names no file: sqlite:/var/lib/mfa/mfa.db"];
  if (/^:memory:|[?&]mode=memory/.test(path)) {
    return ["a database in memory is gone with the process: sqlite:/var/lib/mfa/mfa.db"];
  }
  if (path.endsWith("/")) return ["names a folder, no file: add the name of the file, mfa.db"];
  return isPseudo(path) ? [`${path} is on a pseudo file system, which keeps nothing: sqlite:/var/lib/mfa/mfa.db`] : [];
}
