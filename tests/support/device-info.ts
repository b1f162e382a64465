/** The directory of device information files (NPWG), which the whole machine shares. */
import { rmdirSync } from "node:fs";
import { join } from "node:path";

export const deviceInfoDirectory = "/var/run/k8s.cni.cncf.io/devinfo";

/** Removes its directories where they are empty: another program may have files there. */
export function removeDeviceInfoDirectories(): void {
  for (const made of ["dp", "cni", "", ".."]) {
    try {
      rmdirSync(join(deviceInfoDirectory, made));
    } catch {
      // Absent, or not empty.
    }
  }
}
