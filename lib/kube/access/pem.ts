/**
 * Certificates, keys and tokens, from the configuration or from a file. It reads
 * and validates them, and never puts them into a message.
 */
import { readRegularFile } from "../../linux/files.ts";
import { textOf, quote } from "../../linux/text.ts";
import { invalidConfig } from "../../cni/error.ts";
import { messageOf } from "../../linux/errno.ts";

/** The source of a certificate or key. `where` names the configuration key in messages. */
export type PemSource = { where: string } & (
  { file: string } | { base64: string }
);

/** The PEM text. Throws 7 if it is unreadable, encrypted or has no block of that kind. */
export function readPem(
  source: PemSource,
  kind: "CERTIFICATE" | "PRIVATE KEY",
): string {
  const text =
    "file" in source
      ? readText(source.file, source.where)
      : decodeBase64(source.base64);
  // Bun reports an invalid text as a socket that failed to open, which misleads.
  const isKind =
    text.includes(`-----BEGIN ${kind}-----`) ||
    new RegExp(`-----BEGIN [A-Z0-9 ]*${kind}-----`).test(text);
  // In the label of PKCS #8, or in the header `Proc-Type` of RFC 1421.
  const isEncrypted = kind === "PRIVATE KEY" && text.includes("ENCRYPTED");
  if (isKind && !isEncrypted) return text;
  const file = "file" in source ? `${quote(source.file)} ` : "";
  const problem = isKind ? "holds an encrypted" : "holds no PEM";
  throw invalidConfig(
    `${source.where}: ${file}${problem} ${kind.toLowerCase()}`,
  );
}

/** Whether each certificate of a PEM text is its own issuer. */
export function hasOnlyRoots(pem: string): boolean {
  const [, ...blocks] = pem.split("-----BEGIN CERTIFICATE-----");
  for (const block of blocks) {
    const base64 = block.slice(0, block.indexOf("-----"));
    try {
      if (!isOwnIssuer(Uint8Array.fromBase64(base64))) return false;
    } catch {
      return false;
    }
  }
  return blocks.length > 0;
}

/** RFC 5280 §4.1: the issuer and the subject of a certificate in DER. */
function isOwnIssuer(der: Uint8Array): boolean {
  let at = elementOf(der, elementOf(der, 0).start).start;
  // The version may be absent.
  if (der[at] === 0xa0) at = elementOf(der, at).end;
  const serialNumber = elementOf(der, at);
  const signature = elementOf(der, serialNumber.end);
  const issuer = elementOf(der, signature.end);
  const validity = elementOf(der, issuer.end);
  const subject = elementOf(der, validity.end);
  const name = (start: number, end: number) => der.subarray(start, end).toHex();
  return (
    issuer.end > issuer.start &&
    name(issuer.start, issuer.end) === name(subject.start, subject.end)
  );
}

/** The content of the DER element at a position. */
function elementOf(
  der: Uint8Array,
  at: number,
): { start: number; end: number } {
  let length = der[at + 1] ?? 0;
  let start = at + 2;
  if (length >= 0x80) {
    const lengthEnd = start + length - 0x80;
    for (length = 0; start < lengthEnd; start++)
      length = length * 256 + (der[start] ?? 0);
  }
  return { start, end: start + length };
}

function decodeBase64(base64: string): string {
  try {
    return textOf(Uint8Array.fromBase64(base64));
  } catch {
    // Buffer accepts every base64 text, but costs 0.4 ms at its first use.
    return Buffer.from(base64, "base64").toString("utf8");
  }
}

/** The token of a file, read at every use because it is rotated. Throws 7. */
export function readToken(file: string, where: string): string {
  return checkToken(readText(file, where).trim(), `${where}: ${quote(file)}`);
}

/** The token, if it is valid in a header. Throws 7: Bun's own error would be less clear. */
export function checkToken(token: string, where: string): string {
  if (token === "") throw invalidConfig(`${where}: the token is empty`);
  if (!isVisible(token)) {
    throw invalidConfig(
      `${where}: the token has characters that no header may have`,
    );
  }
  return token;
}

function isVisible(text: string): boolean {
  // A text that cannot be encoded is not ASCII either.
  if (!text.isWellFormed()) return false;
  // Fast path: an ordinary token needs no encoding.
  return encodeURIComponent(text) === text || /^[\x21-\x7e]*$/.test(text);
}

/** Limit in bytes: a bundle of all authorities of a distribution has 0.3 MiB. */
const fileLimit = 4 << 20;

/** The text of a file. Throws 7 naming the file and the reason. */
export function readText(file: string, where: string): string {
  try {
    return readRegularFile(file, fileLimit);
  } catch (error) {
    const reason = messageOf(error);
    throw invalidConfig(
      looksLikeSecret(file)
        ? `${where}: failed to read a file: ${reason} (its path looks like a secret and is not shown)`
        : `${where}: failed to read ${quote(file)}: ${reason}`,
    );
  }
}

/** Whether a path looks like a token, a key or a whole kubeconfig: a common mistake. */
function looksLikeSecret(path: string): boolean {
  return (
    /[\r\n{]|-----BEGIN|(?:^|\/)eyJ[\w-]{8}/.test(path) ||
    // File names are shorter, or have a dot, or lack digits and capital letters.
    /[\w+=-]{80}|(?:^|\/)(?=[^/]*[\dA-Z])[\w+=-]{24,}$/.test(path)
  );
}

/** The distributions' bundles: the list of Go's crypto/x509. */
const bundles = [
  "/etc/ssl/certs/ca-certificates.crt",
  "/etc/pki/tls/certs/ca-bundle.crt",
  "/etc/ssl/ca-bundle.pem",
  "/etc/pki/tls/cacert.pem",
  "/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem",
  "/etc/ssl/cert.pem",
];

/**
 * The default authorities: the node's, as for kubectl and every Go client, else
 * Bun's built-in ones. The list is always passed explicitly: by default Bun adds the
 * files of NODE_EXTRA_CA_CERTS and SSL_CERT_FILE, and the runtime's environment is
 * not to be trusted. Reading the file costs 0.2 ms, `node:tls` 9 ms.
 * Never empty, because an empty list means Bun's default.
 */
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
    return readRegularFile(file, fileLimit);
  } catch {
    return undefined;
  }
}
