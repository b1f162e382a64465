/**
 * The TLS session of an earlier pod in `<dataDir>/tls-session`, so that the next one
 * resumes it (RFC 8446 §2.2): the server signs nothing, and no certificate is verified
 * again. Only the server that was verified can resume it; another one makes a full
 * handshake. A file that is old, torn, of another user or of another identity is the same
 * as none. The file is as secret as a client key.
 */
import { own, parseJson } from "../cni/json.ts";
import { directoryOf, removeFile, replaceFile } from "../linux/files.ts";
import {
  isOwnFile,
  readOwnFileIfAny,
  requireOwnDirectory,
} from "../linux/own-files.ts";

declare module "bun" {
  interface Socket {
    /** Undefined before the server has sent a ticket. Bun's own type returns nothing. */
    getSession(): Uint8Array | undefined;
  }
}

export const tlsSessionFile = "tls-session";

/** Milliseconds after which the server's certificate is verified again. */
const trustMs = 3_600_000;

/** A session contains the certificates of both sides. */
const maxBytes = 64 << 10;

export class KeptSession {
  readonly #path: string;
  readonly #directory: string;
  readonly #identity: string;

  /** `identity` has everything that decides whom a connection trusts, and as whom it is known. */
  constructor(path: string, identity: string) {
    this.#path = path;
    this.#directory = directoryOf(path);
    this.#identity = Bun.SHA256.hash(identity, "hex");
  }

  /** Before the handshake: whether there is one to offer. Never throws. */
  resume(socket: Bun.Socket): boolean {
    try {
      const session = this.#read();
      if (session) socket.setSession(session);
      return session !== undefined;
    } catch {
      // The file has no session.
      return false;
    }
  }

  #read(): Uint8Array | undefined {
    requireOwnDirectory(this.#directory);
    if (!isOwnFile(this.#path)) return undefined;
    const value = parseJson(readOwnFileIfAny(this.#path, maxBytes) ?? "");
    const session = own(value, "session");
    const made = own(value, "made");
    if (own(value, "identity") !== this.#identity) return undefined;
    if (typeof session !== "string" || typeof made !== "number")
      return undefined;
    const age = Date.now() - made;
    // The clock may have been set back.
    return age >= 0 && age < trustMs ? Uint8Array.fromHex(session) : undefined;
  }

  /** After a handshake that failed with it. Never throws. */
  forget(): void {
    try {
      removeFile(this.#path);
    } catch {
      // The directory is read-only.
    }
  }

  /** After a full handshake. Never throws: the next pod then makes another one. */
  keep(socket: Bun.Socket): void {
    const session = socket.isSessionReused() ? undefined : socket.getSession();
    if (!session) return;
    const text = JSON.stringify({
      identity: this.#identity,
      made: Date.now(),
      session: session.toHex(),
    });
    try {
      requireOwnDirectory(this.#directory);
      replaceFile(this.#path, text);
    } catch {
      // The directory is missing or denied.
    }
  }
}
