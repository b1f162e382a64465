/**
 * CNI protocol versions: the supported ones, their order, their features.
 * Comparison is numeric, acceptance is by exact text (cni-plugin.md §1.3).
 */
import { Code, CniError } from "./error.ts";
import { quote } from "../linux/text.ts";

export const supportedVersions = [
  "0.1.0",
  "0.2.0",
  "0.3.0",
  "0.3.1",
  "0.4.0",
  "1.0.0",
  "1.1.0",
] as const;

export type CniVersion = (typeof supportedVersions)[number];

export const latestVersion = "1.1.0" satisfies CniVersion;

/** The whole response to VERSION; it does not depend on stdin (P-VN-0). */
export const versionResponse = `${JSON.stringify({ cniVersion: latestVersion, supportedVersions })}\n`;

/** Exact string equality with a supported version: `1.1` and `v1.0.0` are not (P-VER-1). */
export function isSupported(version: string): version is CniVersion {
  return (supportedVersions as readonly string[]).includes(version);
}

/** The version that brought each feature (cni-plugin.md §1.3, matrix). */
const since = {
  prevResult: "0.3.0",
  check: "0.4.0",
  prevResultOnDel: "0.4.0",
  gc: "1.1.0",
  status: "1.1.0",
} as const satisfies Record<string, CniVersion>;

/** Whether a protocol version has a feature: `has(version, "check")`. Throws code 6 for an invalid version. */
export function has(version: string, feature: keyof typeof since): boolean {
  const versions: readonly string[] = supportedVersions;
  const at = versions.indexOf(version);
  return at < 0
    ? compareVersions(version, since[feature]) >= 0
    : at >= versions.indexOf(since[feature]);
}

/** Compares numerically: negative, zero or positive. Throws code 6 for an invalid version. */
export function compareVersions(a: string, b: string): number {
  const left = parseVersion(a);
  const right = parseVersion(b);
  return left[0] - right[0] || left[1] - right[1] || left[2] - right[2];
}

const partNames = ["major", "minor", "micro"] as const;

/**
 * One to three dot-separated integers; `1.1` is `1.1.0` and "" is 0.1.0. The
 * messages are upstream's (`version.ParseVersion`). Throws code 6.
 */
export function parseVersion(version: string): [number, number, number] {
  if (version === "") return [0, 1, 0];
  const parts = version.split(".");
  if (parts.length > 3) {
    throw new CniError(
      Code.decoding,
      `invalid version ${quote(version)}: too many parts`,
    );
  }
  const numbers: [number, number, number] = [0, 0, 0];
  for (const [i, part] of parts.entries()) {
    const number = /^[+-]?\d+$/.test(part) ? Number(part) : undefined;
    if (number === undefined || !Number.isSafeInteger(number)) {
      const problem =
        number === undefined ? "invalid syntax" : "value out of range";
      throw new CniError(
        Code.decoding,
        `failed to convert ${partNames[i]} version part ${quote(part)}: ` +
          `strconv.Atoi: parsing ${quote(part)}: ${problem}`,
      );
    }
    numbers[i] = number;
  }
  return numbers;
}
