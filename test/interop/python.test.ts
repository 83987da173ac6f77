import { status } from "@grpc/grpc-js";
import { expect, onTestFinished, test } from "vitest";
import { run, startService } from "./process.ts";
import { describeContract, findPython, pythons } from "./python.ts";

test("python grpcio is exercised where present: it enrolls, logs in, and decodes why a second use is refused", async () => {
  const python = await findPython("grpc, google.protobuf");
  if (python === undefined) {
    // Not a skip: the absence is what was looked for and found, and the log says what was not tried.
    process.stderr.write(
      `\n*** PYTHON GRPCIO WAS NOT EXERCISED: none of ${pythons.join(", ")} imports grpc and google.protobuf ***\n` +
        "*** On Debian: apt-get install python3-grpcio python3-protobuf ***\n\n",
    );
    return;
  }
  const [descriptors, service] = await Promise.all([describeContract(), startService()]);
  onTestFinished(async () => void (await service.stop()));
  const { code, stdout, stderr } = await run(python, ["test/interop/totp_client.py", descriptors, service.address], {
    env: { USER_TOKEN: await service.user("py"), SERVICE_TOKEN: await service.backend("mfa.verify") },
  });
  expect(code, stderr).toBe(0);
  expect(JSON.parse(stdout)).toMatchObject({
    state: "TOTP_DEVICE_STATE_ACTIVE",
    sameDevice: true,
    second: {
      status: "PERMISSION_DENIED",
      message: "the code was not accepted",
      info: { reason: "CODE_REJECTED", domain: "mfa.v1", code: status.PERMISSION_DENIED },
    },
  });
});
