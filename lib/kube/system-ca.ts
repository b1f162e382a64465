/**
 * The default authorities: the node's, as for kubectl and every Go client, else
 * Bun's built-in ones.
 *
 * The list is always passed explicitly. By default Bun adds the files of
 * NODE_EXTRA_CA_CERTS and SSL_CERT_FILE, and the runtime's environment is not to be
 * trusted. Reading the file costs 0.2 ms, `node:tls` 9 ms.
 */
import { readFile } from "../linux/files.ts";

/** The distributions' bundles: the list of Go's crypto/x509. */
const bundles = [
  "/etc/ssl/certs/ca-certificates.crt",
  "/etc/pki/tls/certs/ca-bundle.crt",
  "/etc/ssl/ca-bundle.pem",
  "/etc/pki/tls/cacert.pem",
  "/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem",
  "/etc/ssl/cert.pem",
];

/** PEM texts; never empty, because an empty list means Bun's default. */
export async function systemAuthorities(
  files: readonly string[] = bundles,
): Promise<string[]> {
  for (const file of files) {
    const text = contents(file);
    if (text?.includes("-----BEGIN CERTIFICATE-----")) return [text];
  }
  const { rootCertificates } = await import("node:tls");
  return [...rootCertificates];
}

function contents(file: string): string | undefined {
  try {
    return readFile(file);
  } catch {
    return undefined;
  }
}
