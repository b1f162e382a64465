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
export interface KeyPair {
  cert: string;
  key: string;
  certFile: string;
  keyFile: string;
}

/** What few tests need is made when it is asked for. */
export class Certs {
  readonly #directory: string;
  readonly ca: KeyPair;
  /** For 127.0.0.1, ::1 and localhost. */
  readonly server: KeyPair;
  #namedServer: KeyPair | undefined;
  #foreignCa: KeyPair | undefined;
  #foreignServer: KeyPair | undefined;

  constructor(directory: string) {
    this.#directory = directory;
    this.ca = authority(directory, "ca");
    this.server = issue(directory, this.ca, "/CN=server", addresses);
  }

  /** For the name `kubernetes.test` and no address. */
  get namedServer(): KeyPair {
    const name = "subjectAltName=DNS:kubernetes.test";
    return (this.#namedServer ??= issue(
      this.#directory,
      this.ca,
      "/CN=named",
      name,
    ));
  }

  get foreignCa(): KeyPair {
    return (this.#foreignCa ??= authority(this.#directory, "foreign-ca"));
  }

  /** A certificate of another authority, for the same addresses as `server`. */
  get foreignServer(): KeyPair {
    return (this.#foreignServer ??= issue(
      this.#directory,
      this.foreignCa,
      "/CN=foreign",
      addresses,
    ));
  }

  /** A client certificate: user name and groups, as Kubernetes reads them. */
  client(user: string, groups: readonly string[] = []): KeyPair {
    const subject = `${groups.map((group) => `/O=${group}`).join("")}/CN=${user}`;
    return issue(this.#directory, this.ca, subject, clientAuth);
  }

  /** The same, of the foreign authority. */
  foreignClient(user: string): KeyPair {
    return issue(this.#directory, this.foreignCa, `/CN=${user}`, clientAuth);
  }
}

const addresses = "subjectAltName=IP:127.0.0.1,IP:::1,DNS:localhost";
const clientAuth = "extendedKeyUsage=clientAuth";

/** The certificates of a directory; made at the first call of the process. Default: a temporary directory, see `removeCerts`. */
export function makeCerts(directory = temporaryDirectory()): Certs {
  const known = made.get(directory);
  if (known) return known;
  mkdirSync(directory, { recursive: true });
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

const newKey = "-newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes".split(" ");

function authority(directory: string, name: string): KeyPair {
  const { certFile, keyFile } = files(directory, name);
  openssl(
    ["req", "-x509", ...newKey, "-subj", `/CN=${name}`, "-days", "3650"],
    {
      "-keyout": keyFile,
      "-out": certFile,
    },
  );
  return load(certFile, keyFile);
}

let issuedCount = 0;

function issue(
  directory: string,
  issuer: KeyPair,
  subject: string,
  extension: string,
): KeyPair {
  const name = `issued-${++issuedCount}`;
  const { certFile, keyFile } = files(directory, name);
  const request = join(directory, `${name}.csr`);
  const extensions = join(directory, `${name}.ext`);
  writeFileSync(extensions, `${extension}\n`);
  openssl(["req", ...newKey, "-subj", subject], {
    "-keyout": keyFile,
    "-out": request,
  });
  openssl(["x509", "-req", "-days", "3650"], {
    "-in": request,
    "-CA": issuer.certFile,
    "-CAkey": issuer.keyFile,
    "-set_serial": `${Date.now()}${issuedCount}`,
    "-extfile": extensions,
    "-out": certFile,
  });
  return load(certFile, keyFile);
}

function files(directory: string, name: string) {
  return {
    certFile: join(directory, `${name}.crt`),
    keyFile: join(directory, `${name}.key`),
  };
}

function load(certFile: string, keyFile: string): KeyPair {
  return {
    cert: readFileSync(certFile, "utf8"),
    key: readFileSync(keyFile, "utf8"),
    certFile,
    keyFile,
  };
}

function openssl(
  args: readonly string[],
  options: Record<string, string>,
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
