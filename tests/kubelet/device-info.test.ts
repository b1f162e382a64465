/**
 * Device information files (selection.md §6, NPWG device-info specification
 * v1.1). Their directory is fixed by that specification, so these tests write
 * below the real one, under names of their own.
 */
import { afterAll, afterEach, describe, expect, test } from "bun:test";
import {
  existsSync,
  mkdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import {
  deviceInfoArgs,
  prepareDeviceInfo,
  readDeviceInfo,
  removeDeviceInfo,
} from "../../lib/kubelet/device-info.ts";
import {
  deviceInfoDirectory as directory,
  removeDeviceInfoDirectories,
} from "../support/device-info.ts";

const containerId = `test-${crypto.randomUUID()}`;
const id = "0000:03:02.0";
const vendor = `${containerId}.example`;
const resource = `${vendor}/sriov/a`;
const path = `${directory}/cni/${containerId}-net1-device.json`;
const devicePlugins = `${directory}/dp/${vendor}-sriov-a-${id}-device.json`;
const info = { type: "pci", version: "1.1.0", pci: { "pci-address": id } };

/** Only the superuser may write there. */
const superuser = process.getuid?.() === 0;

afterAll(removeDeviceInfoDirectories);

afterEach(() => {
  rmSync(path, { force: true });
  rmSync(devicePlugins, { force: true });
});

test("deviceInfoArgs, a path by container and interface, as a capability", () => {
  expect(deviceInfoArgs(containerId, "net1")).toEqual({
    CNIDeviceInfoFile: path,
  });
});

describe.skipIf(!superuser)(
  "prepareDeviceInfo, readDeviceInfo, removeDeviceInfo",
  () => {
    const prepared = (device: { id: string; resource?: string }) => {
      const args = deviceInfoArgs(containerId, "net1");
      prepareDeviceInfo(args, device);
      return args;
    };

    test("begins with the file of the device plugin", () => {
      mkdirSync(`${directory}/dp`, { recursive: true });
      writeFileSync(devicePlugins, JSON.stringify(info));
      const args = prepared({ id, resource });
      expect(readFileSync(path, "utf8")).toBe(JSON.stringify(info));
      expect(readDeviceInfo(args)).toEqual(info);
    });

    test.each<[string, () => void, string]>([
      [
        "more than 1 MiB",
        () => writeFileSync(devicePlugins, "x".repeat((1 << 20) + 1)),
        "larger than 1048576 bytes",
      ],
      [
        "a link to a device",
        () => symlinkSync("/dev/zero", devicePlugins),
        "not a regular file",
      ],
    ])(
      "%s from a device plugin is an error 5 that names it",
      (_, make, why) => {
        mkdirSync(`${directory}/dp`, { recursive: true });
        make();
        expect(() => prepared({ id, resource })).toThrow(
          expect.objectContaining({
            code: 5,
            message: `failed to read device information ${devicePlugins}: ${why}`,
          }),
        );
      },
    );

    test.each([[{ id }], [{ id, resource }]])(
      "%j, the device plugin says nothing: the directory for a file of the CNI plugin",
      (device) => {
        const args = prepared(device);
        expect(existsSync(`${directory}/cni`)).toBe(true);
        expect(existsSync(path)).toBe(false);
        expect(readDeviceInfo(args)).toBeUndefined();
        writeFileSync(path, JSON.stringify(info));
        expect(readDeviceInfo(args)).toEqual(info);
      },
    );

    test("a name that no file can have: the device plugin says nothing", () => {
      const args = prepared({ id, resource: `${"x".repeat(250)}/vf` });
      expect(existsSync(path)).toBe(false);
      expect(readDeviceInfo(args)).toBeUndefined();
    });

    test("no path: nothing to do", () => {
      const args = { deviceID: id };
      prepareDeviceInfo(args, { id });
      expect(readDeviceInfo(args)).toBeUndefined();
      removeDeviceInfo(args);
      expect(existsSync(path)).toBe(false);
    });

    test.each(["", "{", "[]", "null", '"pci"'])(
      "a file with %j: none",
      (text) => {
        const args = prepared({ id });
        writeFileSync(path, text);
        expect(readDeviceInfo(args)).toBeUndefined();
      },
    );

    test("a directory in its place is removed", () => {
      const args = prepared({ id });
      mkdirSync(`${path}/below`, { recursive: true });
      expect(readDeviceInfo(args)).toBeUndefined();
      removeDeviceInfo(args);
      expect(existsSync(path)).toBe(false);
    });

    test.each(["", ".", ".."])(
      "the directory of all files, %j, stays",
      (name) => {
        prepared({ id });
        const CNIDeviceInfoFile = `${directory}/cni/${name}`;
        removeDeviceInfo({ CNIDeviceInfoFile });
        expect(existsSync(`${directory}/cni`)).toBe(true);
      },
    );

    test("is removed, also twice", () => {
      const args = prepared({ id });
      writeFileSync(path, "{}");
      removeDeviceInfo(args);
      expect(existsSync(path)).toBe(false);
      removeDeviceInfo(args);
    });

    test.each([
      `${directory}/cni/../dp/${containerId}.json`,
      `${directory}/dp/${containerId}.json`,
      `/tmp/${containerId}.json`,
    ])("%s, in a changed record, is not touched", (other) => {
      prepared({ id });
      mkdirSync(`${directory}/dp`, { recursive: true });
      writeFileSync(other, "{}");
      const changed = { CNIDeviceInfoFile: other };
      expect(readDeviceInfo(changed)).toBeUndefined();
      removeDeviceInfo(changed);
      expect(existsSync(other)).toBe(true);
      rmSync(other);
    });
  },
);
