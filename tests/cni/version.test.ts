import { describe, expect, test } from "bun:test";
import {
  compareVersions,
  has,
  isSupported,
  latestVersion,
  parseVersion,
  supportedVersions,
  versionResponse,
} from "../../lib/cni/version.ts";
import { cniError } from "../support/cni-error.ts";

test("versionResponse is one line with every version, the latest as ours (P-VN-0)", () => {
  expect(versionResponse).toBe(
    '{"cniVersion":"1.1.0","supportedVersions":["0.1.0","0.2.0","0.3.0","0.3.1","0.4.0","1.0.0","1.1.0"]}\n',
  );
});

describe("isSupported, exact equality (P-VER-1)", () => {
  test.each(supportedVersions)("%s", (version) => {
    expect(isSupported(version)).toBe(true);
  });

  test.each([
    "",
    "1",
    "1.1",
    "v1.0.0",
    "1.1.0.0",
    "1.2.0",
    "01.1.0",
    " 1.1.0",
    "abc",
  ])("not %j", (version) => {
    expect(isSupported(version)).toBe(false);
  });
});

test("supportedVersions ascend and end with the latest", () => {
  expect<string[]>(supportedVersions.toSorted(compareVersions)).toEqual([
    ...supportedVersions,
  ]);
  expect<string | undefined>(supportedVersions.at(-1)).toBe(latestVersion);
});

describe("has, the matrix of §1.3", () => {
  const features = [
    "prevResult",
    "check",
    "prevResultOnDel",
    "gc",
    "status",
  ] as const;
  test.each([
    ["0.1.0", []],
    ["0.2.0", []],
    ["0.3.0", ["prevResult"]],
    ["0.3.1", ["prevResult"]],
    ["0.4.0", ["prevResult", "check", "prevResultOnDel"]],
    ["1.0.0", ["prevResult", "check", "prevResultOnDel"]],
    ["1.1.0", [...features]],
    ["1.10.0", [...features]],
    ["-1.0.0", []],
  ] as const)("%s", (version, expected) => {
    expect<string[]>(
      features.filter((feature) => has(version, feature)),
    ).toEqual([...expected]);
  });
});

describe("compareVersions, by numbers", () => {
  test.each([
    ["1.0.0", "1.0.0", 0],
    ["1.1", "1.1.0", 0],
    ["1", "1.0.0", 0],
    ["", "0.1.0", 0],
    ["0.4.0", "0.3.1", 1],
    ["0.10.0", "0.9.0", 1],
    ["1.0.0", "1.0.1", -1],
    ["-1.0.0", "0.1.0", -1],
  ])("%j and %j", (a, b, sign) => {
    expect(Math.sign(compareVersions(a, b))).toBe(sign);
  });
});

describe("parseVersion, upstream's texts", () => {
  test.each([
    ["1.0.0.0", 'invalid version "1.0.0.0": too many parts'],
    [
      "abc",
      'failed to convert major version part "abc": strconv.Atoi: parsing "abc": invalid syntax',
    ],
    [
      "1.",
      'failed to convert minor version part "": strconv.Atoi: parsing "": invalid syntax',
    ],
    [
      "1.0.x",
      'failed to convert micro version part "x": strconv.Atoi: parsing "x": invalid syntax',
    ],
    [
      "99999999999999999999",
      'failed to convert major version part "99999999999999999999": ' +
        'strconv.Atoi: parsing "99999999999999999999": value out of range',
    ],
  ])("%j", (version, message) => {
    expect(() => parseVersion(version)).toThrow(cniError(6, message));
  });
});
