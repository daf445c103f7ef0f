// Completes the list of parts (CycloneDX) that cyclonedx-gomod makes of a program: adds the packages that are bundled into its
// pages, and takes out what would differ from one build to the next.
//
//   node sbom.mjs SBOM.json VERSION DATE >OUT

import { readFileSync } from "node:fs";

const [file, version, date] = process.argv.slice(2);
const bom = JSON.parse(readFileSync(file, "utf8"));
delete bom.serialNumber;
bom.metadata.timestamp = date;
bom.metadata.component.version = version;
for (const tool of bom.metadata.tools ?? []) {
  delete tool.hashes; // of the tool as it was compiled here
}

const lock = JSON.parse(readFileSync(new URL("../web/ui/package-lock.json", import.meta.url), "utf8"));
const bundled = new Set(Object.keys(lock.packages[""].dependencies ?? {}));
for (const name of bundled) {
  for (const more of Object.keys(lock.packages[`node_modules/${name}`].dependencies ?? {})) {
    bundled.add(more);
  }
}
for (const name of [...bundled].sort()) {
  const about = lock.packages[`node_modules/${name}`];
  const purl = `pkg:npm/${name.replace("@", "%40")}@${about.version}`;
  const [algorithm, hash] = about.integrity.split("-");
  bom.components.push({
    "bom-ref": purl,
    type: "library",
    name,
    version: about.version,
    scope: "required",
    purl,
    hashes: [{ alg: algorithm.replace("sha", "SHA-"), content: Buffer.from(hash, "base64").toString("hex") }],
    ...(about.license && { licenses: [{ license: { id: about.license } }] }),
  });
}
process.stdout.write(JSON.stringify(bom, null, 1) + "\n");
