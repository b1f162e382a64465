/**
 * Certificates for tests: an authority with server and client certificates, and
 * a foreign one that nobody should trust. Made by `openssl`, once for a directory.
 */
import {
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

/** PEM texts and the files that hold them. */
export interface KeyPair extends KeyFiles {
  readonly cert: string;
  readonly key: string;
}

export interface KeyFiles {
  readonly certFile: string;
  readonly keyFile: string;
}

/** An authority, and what it issues into its directory. */
export class Authority {
  readonly ca: KeyPair;
  readonly #directory: string;

  constructor(directory: string, name: string) {
    mkdirSync(directory, { recursive: true, mode: 0o700 });
    this.#directory = directory;
    this.ca = pairAt(directory, name);
    openssl(
      ["req", "-x509", ...newKey, "-subj", `/CN=${name}`, "-days", "3650"],
      { "-keyout": this.ca.keyFile, "-out": this.ca.certFile },
    );
  }

  /** For these addresses and names. */
  server(...names: readonly string[]): KeyPair {
    const listed = names.map((name) =>
      /^[\d.]+$|:/.test(name) ? `IP:${name}` : `DNS:${name}`,
    );
    return this.#issue("/CN=server", `subjectAltName=${listed.join(",")}`);
  }

  /** A user and groups, as Kubernetes reads them from a subject. */
  client(user: string, groups: readonly string[] = []): KeyPair {
    const subject = `${groups.map((group) => `/O=${group}`).join("")}/CN=${user}`;
    return this.#issue(subject, "extendedKeyUsage=clientAuth");
  }

  #issue(subject: string, extension: string): KeyPair {
    const name = `issued-${++issuedCount}`;
    const pair = pairAt(this.#directory, name);
    const request = join(this.#directory, `${name}.csr`);
    const extensions = join(this.#directory, `${name}.ext`);
    writeFileSync(extensions, `${extension}\n`);
    openssl(["req", ...newKey, "-subj", subject], {
      "-keyout": pair.keyFile,
      "-out": request,
    });
    openssl(["x509", "-req", "-days", "3650"], {
      "-in": request,
      "-CA": this.ca.certFile,
      "-CAkey": this.ca.keyFile,
      "-set_serial": `${Date.now()}${issuedCount}`,
      "-extfile": extensions,
      "-out": pair.certFile,
    });
    return pair;
  }
}

const newKey = "-newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes".split(" ");

let issuedCount = 0;

/** What few tests need is made when it is asked for. */
export class Certs {
  readonly #own: Authority;
  readonly #directory: string;
  #foreign: Authority | undefined;
  /** For 127.0.0.1, ::1 and localhost. */
  readonly server: KeyPair;
  #namedServer: KeyPair | undefined;
  #foreignServer: KeyPair | undefined;

  constructor(directory: string) {
    this.#directory = directory;
    this.#own = new Authority(directory, "ca");
    this.server = this.#own.server(...here);
  }

  get ca(): KeyPair {
    return this.#own.ca;
  }

  /** For the name `kubernetes.test` and no address. */
  get namedServer(): KeyPair {
    return (this.#namedServer ??= this.#own.server("kubernetes.test"));
  }

  get foreignCa(): KeyPair {
    return this.#other().ca;
  }

  /** A certificate of another authority, for the same addresses as `server`. */
  get foreignServer(): KeyPair {
    return (this.#foreignServer ??= this.#other().server(...here));
  }

  client(user: string, groups?: readonly string[]): KeyPair {
    return this.#own.client(user, groups);
  }

  /** The same, of the foreign authority. */
  foreignClient(user: string): KeyPair {
    return this.#other().client(user);
  }

  #other(): Authority {
    return (this.#foreign ??= new Authority(this.#directory, "foreign-ca"));
  }
}

const here = ["127.0.0.1", "::1", "localhost"];

/** The certificates of a directory; made at the first call of the process. Default: a temporary directory, see `removeCerts`. */
export function makeCerts(directory = temporaryDirectory()): Certs {
  const known = made.get(directory);
  if (known) return known;
  const certs = new Certs(directory);
  made.set(directory, certs);
  return certs;
}

const made = new Map<string, Certs>();

let common: string | undefined;

function temporaryDirectory(): string {
  return (common ??= mkdtempSync(join(tmpdir(), "genie-certs-")));
}

/** Removes the temporary directory, if there is one; a suite's last act. */
export function removeCerts(): void {
  if (common === undefined) return;
  rmSync(common, { recursive: true, force: true });
  made.delete(common);
  common = undefined;
}

function pairAt(directory: string, name: string): KeyPair {
  const certFile = join(directory, `${name}.crt`);
  const keyFile = join(directory, `${name}.key`);
  return {
    certFile,
    keyFile,
    get cert() {
      return readFileSync(certFile, "utf8");
    },
    get key() {
      return readFileSync(keyFile, "utf8");
    },
  };
}

export function openssl(
  args: readonly string[],
  options: Readonly<Record<string, string>>,
): void {
  const { exitCode, stderr } = Bun.spawnSync({
    cmd: ["openssl", ...args, ...Object.entries(options).flat()],
    stderr: "pipe",
  });
  if (exitCode !== 0) {
    throw new Error(
      `failed to run openssl ${args.join(" ")}: ${stderr.toString()}`,
    );
  }
}
