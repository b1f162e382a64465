/**
 * The cluster's certificates: one authority, and the pair that signs tokens.
 */
import { join } from "node:path";
import { Authority, type KeyFiles, openssl } from "../support/certs.ts";

export class Pki extends Authority {
  /** For tokens: a private key and, in place of a certificate, its public half. */
  readonly signing: KeyFiles;

  constructor(directory: string) {
    super(directory, "cluster");
    const keyFile = join(directory, "signing.key");
    const certFile = join(directory, "signing.crt");
    const curve = "ec_paramgen_curve:P-256";
    openssl(["genpkey", "-algorithm", "EC", "-pkeyopt", curve], {
      "-out": keyFile,
    });
    openssl(["pkey", "-pubout"], { "-in": keyFile, "-out": certFile });
    this.signing = { certFile, keyFile };
  }
}
