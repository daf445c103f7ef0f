// AWS's own DynamoDB Local for a browser test, with its tables in memory. `make test` has fetched its files.
import { spawn } from "node:child_process";
import { once } from "node:events";
import { readdir } from "node:fs/promises";
import { fileURLToPath } from "node:url";

const root = fileURLToPath(new URL("../../../../", import.meta.url));
const script = `${root}storage/dynamo/dynamolocal/run.sh`;

/** Starts it on a free port; it takes any credentials, env has some. */
export async function startDynamoDB({ freePort, patience }) {
  const dir = process.env.DYNAMODB_LOCAL || `${root}.cache/dynamodb-local`;
  const files = await readdir(dir).catch(() => []);
  if (!files.some((f) => /^DynamoDBLocal-.*\.jar$/.test(f))) throw new Error(`DynamoDB Local is not in ${dir}: run .ci/install.`);
  for (let tries = 1; ; tries++) {
    try {
      return await run(dir, await freePort(), patience);
    } catch (e) {
      if (tries === 3) throw e; // another program may have taken the port
    }
  }
}

async function run(dir, port, patience) {
  const url = `http://127.0.0.1:${port}`;
  const child = spawn("sh", [script, dir, String(port)], {
    stdio: ["pipe", "pipe", "pipe"],
    env: { ...process.env, DDB_LOCAL_TELEMETRY: "0" },
  });
  let log = "";
  for (const stream of [child.stdout, child.stderr]) stream.on("data", (b) => (log += b));
  const ended = once(child, "exit");
  const stop = async () => {
    child.stdin.end();
    await ended;
  };
  const end = performance.now() + patience;
  while (
    !(await fetch(url).then(
      () => true,
      () => false,
    ))
  ) {
    // any answer is one
    if (performance.now() > end) {
      await stop();
      throw new Error(`DynamoDB Local did not answer on ${url}\n${log}`);
    }
    await new Promise((r) => setTimeout(r, 50));
  }
  return {
    url,
    env: {
      AWS_ACCESS_KEY_ID: "vigiltest",
      AWS_SECRET_ACCESS_KEY: "vigiltest",
      AWS_EC2_METADATA_DISABLED: "true",
      AWS_CONFIG_FILE: "/dev/null",
      AWS_SHARED_CREDENTIALS_FILE: "/dev/null",
    },
    stop,
  };
}
