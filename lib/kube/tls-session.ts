/**
 * The TLS session of an earlier pod in `<dataDir>/tls-session`, so that the next one
 * resumes it (RFC 8446 §2.2): the server signs nothing, and no certificate is verified
 * again. Only the server that was verified can resume it. The server refuses a session
 * by a full handshake. A file that is old, torn, of another user or of another access is
 * the same as none. The file is as secret as a client key.
 */
import { own, parseJson } from "../cni/json.ts";
import { rename } from "../linux/file-calls.ts";
import {
  isOwnFile,
  readOwnFileIfAny,
  requireOwnDirectory,
  writeFile,
} from "../linux/files.ts";

export const tlsSessionFile = "tls-session";

/** Milliseconds after which the server's certificate is verified again. */
const trustMs = 3_600_000;

/** A session contains the certificates of both sides. */
const maxBytes = 64 << 10;

/** Undefined without a session of the same `access`. Never throws. */
export function readSession(
  path: string,
  access: string,
): Uint8Array | undefined {
  try {
    requireOwnDirectory(directoryOf(path));
    if (!isOwnFile(path)) return undefined;
    const value = parseJson(readOwnFileIfAny(path, maxBytes) ?? "");
    const session = own(value, "session");
    const made = own(value, "made");
    if (own(value, "access") !== digestOf(access)) return undefined;
    if (typeof session !== "string" || typeof made !== "number")
      return undefined;
    const age = Date.now() - made;
    // The clock may have been set back.
    return age >= 0 && age < trustMs ? Uint8Array.fromHex(session) : undefined;
  } catch {
    return undefined;
  }
}

/** Never throws: the next pod then makes a full handshake. */
export function writeSession(
  path: string,
  access: string,
  session: Uint8Array,
): void {
  const text = JSON.stringify({
    access: digestOf(access),
    made: Date.now(),
    session: session.toHex(),
  });
  try {
    const directory = directoryOf(path);
    requireOwnDirectory(directory);
    const temporary = `${directory}/.${tlsSessionFile}.new`;
    writeFile(temporary, text, 0o600);
    rename(temporary, path);
  } catch {
    // The directory is missing or denied.
  }
}

function digestOf(access: string): string {
  return Bun.SHA256.hash(access, "hex");
}

function directoryOf(path: string): string {
  return path.slice(0, path.lastIndexOf("/"));
}
