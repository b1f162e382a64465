/**
 * The cluster's certificates, made by openssl: one authority, the API server's
 * own certificate, one for each client, and the pair that signs tokens.
 */
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { run } from "../../scripts/run.ts";

/** Files. */
export interface KeyPair {
  cert: string;
  key: string;
}

export interface Pki {
  ca: KeyPair;
  /** For the given addresses and names. */
  server(names: readonly string[]): Promise<KeyPair>;
  /** A user and groups, as Kubernetes reads them from a subject. */
  client(user: string, groups?: readonly string[]): Promise<KeyPair>;
  /** For tokens: a private key and, in place of a certificate, its public half. */
  signing(): Promise<KeyPair>;
}

const newKey = "-newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes".split(" ");

export async function createPki(directory: string): Promise<Pki> {
  mkdirSync(directory, { recursive: true, mode: 0o700 });
  const pair = (name: string): KeyPair => ({
    cert: join(directory, `${name}.crt`),
    key: join(directory, `${name}.key`),
  });
  const ca = pair("ca");
  await run([
    "openssl",
    "req",
    "-x509",
    ...newKey,
    "-subj",
    "/CN=cluster",
    "-days",
    "30",
    "-keyout",
    ca.key,
    "-out",
    ca.cert,
  ]);

  const issue = async (
    name: string,
    subject: string,
    extension: string,
  ): Promise<KeyPair> => {
    const made = pair(name);
    const request = join(directory, `${name}.csr`);
    const extensions = join(directory, `${name}.ext`);
    writeFileSync(extensions, `${extension}\n`);
    await run([
      "openssl",
      "req",
      ...newKey,
      "-subj",
      subject,
      "-keyout",
      made.key,
      "-out",
      request,
    ]);
    await run([
      "openssl",
      "x509",
      "-req",
      "-days",
      "30",
      "-in",
      request,
      "-CA",
      ca.cert,
      "-CAkey",
      ca.key,
      "-CAcreateserial",
      "-extfile",
      extensions,
      "-out",
      made.cert,
    ]);
    return made;
  };

  return {
    ca,
    server: (names) =>
      issue(
        "server",
        "/CN=kube-apiserver",
        `subjectAltName=${names.map((name) => (/^[\d.]+$/.test(name) ? `IP:${name}` : `DNS:${name}`)).join(",")}`,
      ),
    client: (user, groups = []) =>
      issue(
        user.replaceAll(":", "-"),
        `${groups.map((group) => `/O=${group}`).join("")}/CN=${user}`,
        "extendedKeyUsage=clientAuth",
      ),
    async signing() {
      const made = pair("signing");
      await run([
        "openssl",
        "genpkey",
        "-algorithm",
        "EC",
        "-pkeyopt",
        "ec_paramgen_curve:P-256",
        "-out",
        made.key,
      ]);
      await run([
        "openssl",
        "pkey",
        "-in",
        made.key,
        "-pubout",
        "-out",
        made.cert,
      ]);
      return made;
    },
  };
}
